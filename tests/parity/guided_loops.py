"""Inputs of guided-diffusion's sampling loops (tests/golden/gd_loops.npz), and the models that it sampled from."""

from __future__ import annotations

import json

import numpy as np
import torch
from feeds import FakeNetwork, RecipeClassifier
from guided import GOLDEN, MEANS, SCHEDULES

from difflab.denoiser import Denoiser
from difflab.samplers.grids import Grid, UniformGrid
from difflab.schedules import Chain, NoiseSchedule, Tabulated
from difflab.types import Condition, Label
from difflab.variances import FixedSmall, LearnedRange

ARRAYS = np.load(GOLDEN / "gd_loops.npz")
FACTS = json.loads((GOLDEN / "gd.json").read_text(encoding="utf-8"))
X_T, Y = torch.from_numpy(ARRAYS["in/xT"]), torch.from_numpy(ARRAYS["in/y"])
COND = Condition(label=Label(Y))


class WholeChain(Grid):
    """All times of a discrete schedule, or the first of them."""

    def __init__(self, steps: int | None = None):
        self.steps = steps

    def __call__(self, schedule: NoiseSchedule) -> torch.Tensor:
        times = torch.arange((schedule.steps or 0) + 1, dtype=torch.float64) / (schedule.steps or 0)
        return times[: None if self.steps is None else self.steps + 1]


def with_classifier(name: str) -> tuple[Denoiser, Grid, RecipeClassifier]:
    """Denoiser, grid, and the classifier as the peer's loop asks it."""
    process, mean, variance, _ = name.split("/")
    kind, section = process.split("|")
    schedule, grid = SCHEDULES[kind](1000), UniformGrid(section)
    told = FACTS["loop_model_t"][name]
    network, learned = (
        FakeNetwork(variance.startswith("LEARNED")),
        LearnedRange() if "LEARNED" in variance else FixedSmall(),
    )
    if mean == "PREVIOUS_X":  # the output is the mean of the respaced chain: that chain is the schedule
        chain = Chain(schedule, grid(schedule))
        schedule, grid = Tabulated(chain.transition(torch.arange(1, len(chain) + 1)).var_ts), WholeChain()
        network = FakeNetwork(False, told[::-1])
    times = torch.tensor(told[::-1], dtype=torch.float64)
    chain = Chain(schedule, grid(schedule))
    classifier = RecipeClassifier(lambda t: times[chain.index(t) - 1])
    return Denoiser(network, schedule, MEANS[mean](schedule), learned), grid, classifier
