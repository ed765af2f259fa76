"""Independent uniform times."""

from __future__ import annotations

from difflab.noise import Noise
from difflab.objectives.time_samplers.time_sampler import StatelessTimeSampler, TimeDraw, unweighted
from difflab.schedules import NoiseSchedule


class Uniform(StatelessTimeSampler):
    """t ~ U(0, 1), each image for itself (Ho et al. 2020, algorithm 1)."""

    def __call__(self, noise: Noise, schedule: NoiseSchedule) -> TimeDraw:
        return unweighted(schedule.time(noise.uniform("time")))
