"""Noise levels from a log-normal distribution."""

from __future__ import annotations

import torch

from difflab.noise import Noise
from difflab.objectives.time_samplers.time_sampler import StatelessTimeSampler, TimeDraw, unweighted
from difflab.schedules import NoiseSchedule, time_of


class LogNormal(StatelessTimeSampler):
    """ln(sigma_t / alpha_t) ~ N(mean, std^2) (Karras et al. 2022, section 5 and table 1: P_mean, P_std).

    The normal variable is made of the uniform one that other samplers take: models that differ in this alone have small noise, or large,
    on the same images. Nothing undoes the distribution in the loss, it is a part of the method. A level that the schedule does not have
    becomes its nearest.

    mean, std   of the logarithm
    """

    def __init__(self, mean: float = -1.2, std: float = 1.2):
        if std <= 0:
            raise ValueError(f"std = {std} must be positive")
        self.mean = mean
        self.std = std

    def __call__(self, noise: Noise, schedule: NoiseSchedule) -> TimeDraw:
        level = torch.exp(self.mean + self.std * torch.special.ndtri(noise.uniform("time")))
        return unweighted(time_of(schedule, level))
