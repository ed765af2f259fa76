"""Steps that lie closer together near the clean end."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.samplers.grids.grid import Grid, times_of
from difflab.schedules import NoiseSchedule


class QuadraticGrid(Grid):
    """Steps floor(q_n^2) for q_n evenly from 0 to sqrt(share T) (Song et al. 2021, DDIM, appendix D.2, with share = 0.8).

    Near zero several q_n can fall on one step, which is taken once: the chain then has fewer than `steps` steps. In continuous time,
    t_n = share (n / N)^2.

    steps   how many
    share   where the grid begins, as a share of the schedule
    """

    def __init__(self, steps: int, share: float = 0.8):
        if steps < 1 or not 0 < share <= 1:
            raise ValueError(f"a quadratic grid needs at least one step and a share in (0, 1], not {steps} and {share}")
        self.steps = steps
        self.share = share

    def __call__(self, schedule: NoiseSchedule) -> Float64[Tensor, " n"]:
        if schedule.steps is None:
            return self.share * (torch.arange(self.steps + 1, dtype=torch.float64) / self.steps) ** 2
        if self.steps > schedule.steps:
            raise ValueError(
                f"cannot take {self.steps} sampling steps out of {schedule.steps}: set sampler.grid.steps to at most {schedule.steps}"
            )
        roots = np.linspace(0, np.sqrt(schedule.steps * self.share), self.steps)
        steps = {min(int(root**2), schedule.steps - 1) for root in roots}
        return times_of(sorted(steps), schedule)
