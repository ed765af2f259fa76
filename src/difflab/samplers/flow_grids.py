"""The grid of SiT's stochastic samplers."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.samplers.grids import Grid
from difflab.schedules import NoiseSchedule


class ShortLastStep(Grid):
    """Times at equal distances from `begin` down to `last`, then 0 (Ma et al. 2024, "SiT", whose code's last step has the size 0.04).

    Where a score grows infinite towards the image, what the last step is and how long it is matter more than those before. A `begin` below
    1 keeps away from the end at which there is no signal.

    Args:
        steps: How many, with the last.
        last: Where the last one begins.
        begin: Where the first one begins.
    """

    def __init__(self, steps: int, last: float = 0.04, begin: float = 1.0):
        if steps < 1 or not 0 < last < begin <= 1:
            raise ValueError(
                f"the grid needs at least one step, not {steps}, and 0 < last < begin <= 1, not last = {last:g} and begin = {begin:g}"
            )
        self.steps = steps
        self.last = last
        self.begin = begin

    def __call__(self, schedule: NoiseSchedule) -> Float64[Tensor, " n"]:
        if schedule.steps is not None:
            raise ValueError(
                f"the grid takes its times from all of [0, 1], and {type(schedule).__name__} is a table of {schedule.steps} steps: use "
                "sampler/grid=uniform or quadratic, or a schedule of continuous time"
            )
        rising = torch.linspace(self.last, self.begin, self.steps, dtype=torch.float64)
        rising[-1] = self.begin
        return torch.cat([torch.zeros(1, dtype=torch.float64), rising])
