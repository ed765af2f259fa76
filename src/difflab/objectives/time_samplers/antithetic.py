"""Times in mirrored pairs."""

from __future__ import annotations

import torch

from difflab.noise import Noise
from difflab.objectives.time_samplers.time_sampler import StatelessTimeSampler, TimeDraw, unweighted
from difflab.schedules import NoiseSchedule


class Antithetic(StatelessTimeSampler):
    """Images 2k and 2k + 1 get u and 1 - u with u ~ U(0, 1) (Song et al. 2021, DDIM's training code; antithetic variates)."""

    def __call__(self, noise: Noise, schedule: NoiseSchedule) -> TimeDraw:
        u = noise.shared(2).uniform("time")
        return unweighted(schedule.time(torch.where(noise.number % 2 == 0, u, 1 - u)))
