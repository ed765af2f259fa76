"""Times at which the likelihood weight is not large."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.objectives.time_samplers import EachForItself, TimeDraw, Unaware
from difflab.schedules import NoiseSchedule, diffusion, noise_level, time_of

__all__ = ["UniformLogSNR"]


class UniformLogSNR(EachForItself, Unaware):
    """p(t) proportional to g^2(t) / sigma^2(t) = -d log-SNR / dt: the log-SNR is uniform between those at `begin` and at t = 1.

    Importance sampling for the likelihood weight (Song et al. 2021, arXiv 2101.09258, section 4.4): weight times loss is then the same at
    all times for the same error of eps. The closed form that the paper has for the variance-preserving process is this one, for every
    schedule of continuous time. The weight is 1 / p(t), so that the mean is one over uniform times in [begin, 1].

    Args:
        begin: The smallest time.
    """

    def __init__(self, begin: float = 1e-5):
        if not 0 < begin < 1:
            raise ValueError(f"begin = {begin} must be in (0, 1): at t = 0 the log-SNR may be infinite")
        self.begin = begin

    def quantile(self, u: Float64[Tensor, " b"], schedule: NoiseSchedule) -> TimeDraw:
        low, high = (noise_level(schedule, torch.full_like(u[:1], end)).log() for end in (self.begin, 1.0))
        t = time_of(schedule, (low + u * (high - low)).exp()).clamp(min=self.begin)
        rate = diffusion(schedule, t).power / schedule(t).sigma ** 2
        return TimeDraw(t, 2 * (high - low) / ((1 - self.begin) * rate))

    def check(self, schedule: NoiseSchedule) -> None:
        if schedule.steps is not None:
            raise ValueError(
                f"times of uniform log-SNR are drawn in continuous time, and {type(schedule).__name__} is a table of {schedule.steps} "
                "steps: use objective/time_sampler=uniform or loss_second_moment"
            )
        ends = noise_level(schedule, torch.tensor([self.begin, 1.0], dtype=torch.float64))
        if not ends.isfinite().all():
            raise ValueError(
                f"{type(schedule).__name__} leaves no signal at t = 1, where the log-SNR is -infinity and cannot be uniform: use "
                "objective/time_sampler=log_normal or uniform"
            )
