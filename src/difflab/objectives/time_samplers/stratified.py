"""Times spread evenly over the batch."""

from __future__ import annotations

from difflab.noise import Noise
from difflab.objectives.time_samplers.time_sampler import StatelessTimeSampler, TimeDraw, unweighted
from difflab.schedules import NoiseSchedule


class Stratified(StatelessTimeSampler):
    """t_j = frac(u + j / B) for the j-th image of the global batch and one u ~ U(0, 1) per batch.

    Kingma et al. 2021, "Variational Diffusion Models", appendix I.1: the same distribution for each image, a smaller variance of
    the batch's mean loss.

    batch_size   B, the global batch
    """

    def __init__(self, batch_size: int):
        self.batch_size = batch_size

    def __call__(self, noise: Noise, schedule: NoiseSchedule) -> TimeDraw:
        place = (noise.number % self.batch_size).double() / self.batch_size
        return unweighted(schedule.time((noise.shared(self.batch_size).uniform("time") + place) % 1))
