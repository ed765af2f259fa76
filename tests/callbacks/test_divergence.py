"""A loss that is not finite: seen, reported, and handled as the policy says."""

from itertools import pairwise

import pytest
import pytorch_lightning as pl
import torch

from difflab.callbacks import (
    Diverged,
    DivergenceCallback,
    EMACallback,
    GoBack,
    GuidanceCallback,
    ObjectiveCallback,
    SkipStep,
    Stop,
    WentBack,
)
from difflab.data import ArrayImages, ImageData
from difflab.denoiser import Denoiser
from difflab.module import DiffusionModule
from difflab.networks.network import Network
from difflab.objectives import Simple
from difflab.objectives.objective import Objective
from difflab.objectives.time_samplers import Uniform
from difflab.objectives.weightings import Unweighted
from difflab.parameterizations import Epsilon
from difflab.samplers import DDIM
from difflab.samplers.grids import UniformGrid
from difflab.schedules import cosine
from difflab.types import Losses
from difflab.variances import FixedSmall


class OneLayer(Network):
    in_channels, out_channels, image_size = 1, 1, 4

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x, time, cond):
        return self.conv(x)


class SickAt(Objective):
    """Simple, with a loss that is not a number for some image numbers."""

    def __init__(self, numbers):
        self.inner = Simple(Uniform(), Unweighted())
        self.time_sampler = self.inner.time_sampler
        self.numbers = torch.tensor(numbers)

    def __call__(self, denoiser, x_0, cond, noise):
        losses = self.inner(denoiser, x_0, cond, noise)
        sick = torch.isin(noise.number, self.numbers)
        factor = torch.where(sick, float("nan"), 1.0)
        return Losses(losses.total * factor, losses.t, losses.terms)

    def check(self, denoiser):
        return


class Weights(pl.Callback):
    """Remembers the weights after each step."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(pl_module.denoiser.network.conv.weight.detach().clone())


def fit(policy, numbers, tmp_path, steps=8, **trainer):
    torch.manual_seed(0)
    denoiser = Denoiser(OneLayer(), cosine(20), Epsilon(), FixedSmall())
    module = DiffusionModule(
        denoiser,
        ObjectiveCallback(SickAt(numbers), log_every=100),
        EMACallback({}),
        GuidanceCallback({}),
        DDIM(UniformGrid(4)),
        lambda parameters: torch.optim.Adam(parameters, lr=0.1),
        lambda optimizer: torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0),
        num_classes=0,
        seed=3,
    )
    data = ImageData(ArrayImages(torch.randint(0, 256, (16, 1, 4, 4), dtype=torch.uint8)), 4, 4, 1, 0)
    weights, watcher = Weights(), DivergenceCallback(policy, tmp_path, log_every=100)
    pl.Trainer(
        max_steps=steps,
        callbacks=[watcher, weights],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
        check_val_every_n_epoch=None,
        limit_val_batches=0,
        accelerator="cpu",
        **trainer,
    ).fit(module, datamodule=data)
    return watcher, weights.seen


def test_a_healthy_run_is_not_touched(tmp_path):
    watcher, seen = fit(Stop(), [], tmp_path)
    assert watcher.bad_steps == 0
    assert len(seen) == 8
    assert not list(tmp_path.iterdir())


def test_stop_reports_what_is_needed_to_repeat_the_step(tmp_path):
    with pytest.raises(Diverged, match="step 4 is not finite"):
        fit(Stop(), [13], tmp_path)  # step 4 has the images 12 .. 15
    report = torch.load(tmp_path / "step-00000004-process-0.pt", weights_only=True)
    assert report["number"].tolist() == [12, 13, 14, 15]
    assert report["seed"] == 3
    assert torch.isnan(report["loss"]).tolist() == [False, True, False, False]
    assert report["x0"].shape == (4, 1, 4, 4)
    assert report["t"].shape == (4,)


def test_a_skipped_step_changes_no_weight(tmp_path):
    watcher, seen = fit(SkipStep(most=2), [13, 22], tmp_path)
    assert watcher.bad_steps == 2
    still = [torch.equal(before, after) for before, after in pairwise(seen)]
    assert still == [False, False, True, False, True, False, False]
    assert all(torch.isfinite(w).all() for w in seen)


def test_too_many_skips_in_a_row_stop(tmp_path):
    with pytest.raises(Diverged, match="3 steps in a row"):
        fit(SkipStep(most=2), [4, 8, 12], tmp_path)
    watcher, _ = fit(SkipStep(most=1), [4, 12], tmp_path)
    assert watcher.bad_steps == 2


def test_going_back_says_how_far(tmp_path):
    with pytest.raises(WentBack) as error:
        fit(GoBack(checkpoints=2), [13], tmp_path)
    assert error.value.checkpoints == 2


def test_one_bad_micro_batch_spoils_the_accumulated_step(tmp_path):
    watcher, seen = fit(SkipStep(), [9], tmp_path, accumulate_grad_batches=2)
    assert watcher.bad_steps == 1
    assert all(torch.isfinite(w).all() for w in seen)
