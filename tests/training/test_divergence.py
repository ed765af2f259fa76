"""A loss that is not finite: seen, reported, and handled as the policy says."""

from itertools import pairwise

import pytest
import pytorch_lightning as pl
import torch

from difflab.data import ArrayImages, ImageData
from difflab.denoiser import Denoiser
from difflab.networks.network import Network
from difflab.objectives import Simple
from difflab.objectives.objective import Objective
from difflab.objectives.time_samplers import Uniform
from difflab.objectives.weightings import Unweighted
from difflab.parameterizations import Epsilon
from difflab.samplers import DDIM
from difflab.samplers.grids import UniformGrid
from difflab.schedules import cosine
from difflab.training import DiffusionModule
from difflab.training.callbacks import (
    Diverged,
    DivergenceCallback,
    EMACallback,
    GuidanceCallback,
    ObjectiveCallback,
    Rollback,
    RolledBack,
    SkipStep,
    Stop,
    divergence,
)
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


class Late:
    """A value that comes from a GPU: it is there when it is waited for."""

    def __init__(self, there):
        self.there, self.may_wait = there.clone(), True

    def value(self):
        return self.there


@pytest.fixture
def late(monkeypatch):
    monkeypatch.setattr(divergence, "HostCopy", Late)


class Keeper(pl.Callback):
    """Notes after which steps weights would be saved, evaluated and kept."""

    def __init__(self, folder):
        self.folder = folder
        self.evaluated, self.kept = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt", weights_only=False)

    def on_validation_epoch_end(self, trainer, pl_module):
        self.evaluated.append(trainer.global_step)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.kept.append(trainer.global_step)


class NoCheckpoints(Keeper):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        return


def fit(policy, numbers, tmp_path, steps=8, after=(), limit_val_batches=0, **trainer):
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
        callbacks=[watcher, weights, *after],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
        check_val_every_n_epoch=None,
        limit_val_batches=limit_val_batches,
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
    with pytest.raises(RolledBack) as error:
        fit(Rollback(checkpoints=2), [13], tmp_path)
    assert error.value.checkpoints == 2


def test_one_bad_micro_batch_spoils_the_accumulated_step(tmp_path):
    watcher, seen = fit(SkipStep(), [9], tmp_path, accumulate_grad_batches=2)
    assert watcher.bad_steps == 1
    assert all(torch.isfinite(w).all() for w in seen)


@pytest.mark.parametrize("policy", [Stop(), Rollback(1)])
def test_on_a_gpu_the_step_is_taken_and_nothing_is_made_of_its_weights(policy, late, tmp_path):
    """A checkpoint that is due after a bad step, an evaluation and what else begins with the next step: none comes to be."""
    saving, folder = Keeper(tmp_path / "checkpoints"), tmp_path / "reports"
    with pytest.raises(Diverged, match="step 4 is not finite"):
        fit(policy, [13], folder, after=[saving])
    assert sorted(path.stem for path in saving.folder.glob("*")) == ["1", "2", "3"]
    keeping, evaluating = NoCheckpoints(tmp_path), NoCheckpoints(tmp_path)
    with pytest.raises(Diverged, match="step 4 is not finite"):
        fit(policy, [13], folder, after=[keeping])
    assert keeping.kept == [0, 1, 2, 3]
    with pytest.raises(Diverged, match="step 4 is not finite"):
        fit(policy, [13], folder, after=[evaluating], limit_val_batches=1, val_check_interval=2, num_sanity_val_steps=0)
    assert evaluating.evaluated == [2]
    report = torch.load(folder / "step-00000004-process-0.pt", weights_only=True)
    assert report["number"].tolist() == [12, 13, 14, 15]


def test_on_a_gpu_the_last_step_is_looked_at(late, tmp_path):
    with pytest.raises(Diverged, match="step 8 is not finite"):
        fit(Stop(), [30], tmp_path)


def test_on_a_gpu_a_step_is_skipped_before_it_is_taken(late, tmp_path):
    watcher, seen = fit(SkipStep(most=2), [13, 22], tmp_path)
    assert watcher.bad_steps == 2
    assert all(torch.isfinite(w).all() for w in seen)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_value_comes_from_a_gpu():
    """What was there when it was asked for, though the tensor has changed since."""
    there = torch.ones(2, 1000, 1000, device="cuda")
    for _ in range(50):
        there = there @ there[0] / 1000 * there
    asked = torch.isfinite(there).all()
    fetched = divergence.HostCopy(asked)
    asked.logical_not_()
    assert fetched.may_wait
    assert fetched.value().device.type == "cpu"
    assert fetched.value().item()
