"""Grids of which every time, or every level, is given."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.samplers.grids.grid import Grid, times_at
from difflab.schedules import NoiseSchedule, noise_level


class TimesGrid(Grid):
    """The given times; the clean image, t = 0, is the end of every grid.

    Args:
        times: In (0, 1], rising or falling; of a table also times between two steps (i / T is the i-th), but none before the first.
    """

    def __init__(self, times: Sequence[float]):
        self.times = _rising(times, "times")
        if self.times[-1] > 1:
            raise ValueError(f"times are from 0 to 1, not {self.times[-1]:g}")

    def __call__(self, schedule: NoiseSchedule) -> Float64[Tensor, " n"]:
        if schedule.steps is not None and self.times[0] * schedule.steps < 1 - 1e-6:
            raise ValueError(
                f"{self.times[0]:g} is before the first of the schedule's {schedule.steps} steps, t = {1 / schedule.steps:g}: leave it "
                "out of sampler.grid.times"
            )
        return torch.tensor([0.0, *self.times], dtype=torch.float64)


class LevelsGrid(Grid):
    """The times at which sigma / alpha has the given values, k-diffusion's and diffusers' `sigmas`.

    Args:
        levels: Above 0, rising or falling; all within the schedule's. The clean image is the end of every grid.
    """

    def __init__(self, levels: Sequence[float]):
        self.levels = _rising(levels, "levels")

    def __call__(self, schedule: NoiseSchedule) -> Float64[Tensor, " n"]:
        lowest, highest = noise_level(schedule, torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
        if not lowest < self.levels[0] or self.levels[-1] > highest * (1 + 1e-9):
            raise ValueError(
                f"{type(schedule).__name__} has noise levels from {lowest:.4g} to {highest:.4g}, and sampler.grid.levels goes from "
                f"{self.levels[0]:g} to {self.levels[-1]:g}: leave those out that it does not have"
            )
        return times_at(schedule, torch.tensor(self.levels, dtype=torch.float64))


def _rising(values: Sequence[float], name: str) -> list[float]:
    """The values above 0 from small to large."""
    found = sorted(float(value) for value in values)
    if found and found[0] == 0:  # the clean end may be listed
        found = found[1:]
    if not found or found[0] < 0 or any(a == b for a, b in pairwise(found)):
        raise ValueError(f"{name} of a grid: expected different numbers above 0, not {list(values)}")
    return found
