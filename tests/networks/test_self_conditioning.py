"""Self-conditioning: the first look is the model's own, wherever it is asked; training makes it for a share of the images."""

import contextlib
import io
import re

import pytest
import torch
from torch import nn

import running
from difflab.cli.train import train
from difflab.conditioning import SelfConditioning
from difflab.config.sweep_rows import Ended
from difflab.denoiser import Denoiser
from difflab.guidance import ClassifierFree, LastEstimate
from difflab.networks import Network, SelfConditioned
from difflab.noise import ImageNoise
from difflab.parameterizations import X0
from difflab.samplers import DDIM
from difflab.samplers.grids import UniformGrid
from difflab.sampling import Drawing
from difflab.schedules import cosine
from difflab.types import Condition, Estimate, Label
from difflab.variances import FixedSmall

B = 4


class Weighted(Network):
    """a x + b estimate + c label, and a count of its calls."""

    def __init__(self):
        super().__init__()
        self.in_channels, self.out_channels, self.image_size = 2, 1, []
        self.weights, self.calls = nn.Parameter(torch.tensor([0.5, 0.25, 0.1])), 0

    def forward(self, x, time, cond):
        self.calls += 1
        label = Label.of(cond)
        told = 0 if label is None else label.number.clamp(min=0)[:, None].to(x)
        return self.weights[0] * x[:, :1] + self.weights[1] * x[:, 1:] + self.weights[2] * told


@pytest.fixture
def model() -> Denoiser:
    return Denoiser(SelfConditioned(Weighted()), cosine(steps=20), X0(), FixedSmall())


def times() -> torch.Tensor:
    return torch.full((B,), 0.5, dtype=torch.float64)


def test_without_an_estimate_it_looks_twice(model):
    x = torch.randn(B, 1)
    found = model(x, times(), Condition()).x0
    torch.testing.assert_close(found, 0.5 * x + 0.25 * (0.5 * x))
    given = model(x, times(), Condition(estimate=Estimate(torch.ones(B, 1)))).x0
    torch.testing.assert_close(given, 0.5 * x + 0.25)
    assert model.network.network.calls == 3


def test_training_looks_for_a_share_and_no_gradient_passes_the_first_look(model):
    x, noise = torch.randn(B, 1), ImageNoise(3, torch.arange(B))
    cond = SelfConditioning(share=0.5)(Condition(), x, noise)
    wanted = Estimate.of(cond).wanted
    assert 0 < wanted.sum() < B
    alone = SelfConditioning(share=0.5)(Condition(), x[2:3], ImageNoise(3, torch.tensor([2])))
    assert Estimate.of(alone).wanted.item() == wanted[2].item()
    found = model(x, times(), cond).x0
    first = torch.where(wanted[:, None], 0.5 * x, 0.0)
    torch.testing.assert_close(found, 0.5 * x + 0.25 * first)
    found.sum().backward()
    torch.testing.assert_close(model.network.network.weights.grad[:2], torch.stack([x.sum(), first.sum()]))
    assert cond.given == ()


def test_a_sampler_hands_the_last_prediction_on_at_one_call_a_step(model):
    sampler, noise, x = DDIM(UniformGrid(5)), ImageNoise(0, torch.arange(B)), torch.randn(B, 1)
    network = model.network.network
    two_looks = sampler(model, model.schedule, x, Condition(), noise)
    assert network.calls == 10
    one_look = sampler(LastEstimate()(model), model.schedule, x, Condition(), noise)
    assert network.calls == 16, "the first step looks twice"
    assert not torch.equal(one_look, two_looks)


def test_under_guidance_each_branch_has_its_own_estimate(model):
    x, cond = torch.randn(B, 1), Condition(label=Label(torch.full((B,), 3)))
    guided = ClassifierFree(2.0)(LastEstimate()(model))
    first, second = guided(x, times(), cond).x0, guided(x, times(), cond).x0
    looks = {label: 0.5 * x + 0.1 * label for label in (3, 0)}
    twice = {label: look + 0.25 * look for label, look in looks.items()}
    torch.testing.assert_close(first, 2 * twice[3] - twice[0])
    again = {label: looks[label] + 0.25 * twice[label] for label in (3, 0)}
    torch.testing.assert_close(second, 2 * again[3] - again[0])


def test_images_whose_condition_is_taken_are_drawn_and_measured_with_a_first_look_each():
    drawing = Drawing((1,), 10, ("label",), {"self_conditioning": SelfConditioning()})
    known = Condition(label=Label(torch.arange(B)))
    cond = drawing.condition_of(known, torch.randn(B, 1), ImageNoise(0, torch.arange(B)))
    assert tuple(cond) == ("label",)


INSIDE = "network.network"
SMALL = [
    *(word.replace("network.", f"{INSIDE}.") for word in running.SMALL),
    *running.SHORT,
    "network=self_conditioned",
    f"{INSIDE}.channel_mult=[1,2]",
    f"{INSIDE}.depth=1",
    f"{INSIDE}.attention_resolutions=[4]",
]


def train_small(root, *words):
    config = running.composed("train", *SMALL, "conditioning=[self_conditioning]", f"run.root={root}", *words)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        train(config)
    return printed.getvalue().splitlines()[-1]


def test_a_run_trains_and_draws(tmp_path):
    run = train_small(tmp_path / "runs")
    common = ("num_samples=4", "batch_size=4")
    running.sample_from(run, tmp_path / "one", *common, "guidance=[last_estimate,clip]")
    running.sample_from(run, tmp_path / "two", *common)
    assert (tmp_path / "one" / "grid.png").read_bytes() != (tmp_path / "two" / "grid.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("conditioning=none",), r"choose conditioning=\[self_conditioning\]"),
        (("network=unet", "network.width=16"), "choose network=self_conditioned"),
        (
            ("network=unet", "network.width=16", "conditioning=none", "guidance=[last_estimate]"),
            "needs network=self_conditioned",
        ),
    ],
)
def test_half_of_it_is_refused(words, said, tmp_path, capsys):
    given = [word for word in SMALL if "network=unet" not in words or not word.startswith("network")]
    config = running.composed("train", *given, "conditioning=[self_conditioning]", f"run.root={tmp_path}", *words)
    with pytest.raises(Ended):
        train(config)
    assert re.search(said, capsys.readouterr().err)
