"""The grids of flows: of large images, and of SiT's stochastic samplers."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.samplers.grids.grid import Grid
from difflab.schedules import NoiseSchedule


class FlowShiftGrid(Grid):
    """t_n = s u / (1 + (s - 1) u), u = n / N (Esser et al. 2024, Stable Diffusion 3, arXiv 2403.03206, eq. 23).

    For alpha = 1 - t, sigma = t it multiplies every noise level of the uniform grid by s, which a larger image needs: s is the square root
    of the ratio of the numbers of pixels (the paper's sampling has 3). It is for continuous time: a table has its own spacing.

    Args:
        steps: How many.
        shift: s; 1 is the uniform grid, more spends more steps on noise.
    """

    def __init__(self, steps: int, shift: float = 3.0):
        if steps < 1:
            raise ValueError(f"a grid needs at least one step, not {steps}")
        if not shift > 0:
            raise ValueError(f"shift = {shift} must be positive: 1 is the uniform grid")
        self.steps = steps
        self.shift = shift

    def __call__(self, schedule: NoiseSchedule) -> Float64[Tensor, " n"]:
        if schedule.steps is not None:
            raise ValueError(
                f"flow_shift moves the times of continuous schedules, and {type(schedule).__name__} is a table of {schedule.steps} steps: "
                "use sampler/grid=uniform, log_snr or karras"
            )
        u = torch.arange(self.steps + 1, dtype=torch.float64) / self.steps
        return self.shift * u / (1 + (self.shift - 1) * u)


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
                f"the grid takes its times from all of [0, 1], and {type(schedule).__name__} is a table of {schedule.steps} steps: choose "
                "a schedule of continuous time, or, with a sampler that walks down steps, sampler/grid=uniform or quadratic"
            )
        rising = torch.linspace(self.last, self.begin, self.steps, dtype=torch.float64)
        rising[-1] = self.begin
        return torch.cat([torch.zeros(1, dtype=torch.float64), rising])
