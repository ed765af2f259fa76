"""Times at which flows are trained: more often in the middle of the path, where the velocity is hardest to tell.

Esser et al. 2024, "Scaling Rectified Flow Transformers" (Stable Diffusion 3), section 3.1, whose t is ours: 0 is clean, 1 is noise. Nothing
undoes the distribution in the loss. (The paper's shift by resolution is a grid's, see `difflab.samplers.grids`.)
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.objectives.time_samplers import EachForItself, StatelessTimeSampler, TimeDraw, unweighted
from difflab.schedules import NoiseSchedule


class LogitNormal(EachForItself, StatelessTimeSampler):
    """log(t / (1 - t)) ~ N(mean, std^2) (Esser et al. 2024, eq. 19; the paper's best is mean 0, std 1).

    Args:
        mean: Below 0 for more of the clean end, above it for more of the noisy one.
        std: The larger, the more of both ends.
    """

    def __init__(self, mean: float = 0.0, std: float = 1.0):
        if std <= 0:
            raise ValueError(f"std = {std} must be positive")
        self.mean = mean
        self.std = std

    def quantile(self, u: Float64[Tensor, " b"], schedule: NoiseSchedule) -> TimeDraw:
        return unweighted(schedule.time(torch.sigmoid(self.mean + self.std * torch.special.ndtri(u))))


class Mode(EachForItself, StatelessTimeSampler):
    """t = 1 - v - scale (cos^2(pi v / 2) - 1 + v) for v ~ U(0, 1) (Esser et al. 2024, eq. 20): with weight at both ends, too.

    v is 1 - u here, so that a larger u is a later time.

    Args:
        scale: From -1, more of both ends, over 0, uniform, to 2 / (pi - 2) = 1.75, all the more of the middle; the paper's best is 1.29.
    """

    def __init__(self, scale: float = 1.29):
        if not -1 <= scale <= 2 / (math.pi - 2):
            raise ValueError(f"scale = {scale} must be from -1 to 2 / (pi - 2) = 1.7519: beyond, times would run back")
        self.scale = scale

    def quantile(self, u: Float64[Tensor, " b"], schedule: NoiseSchedule) -> TimeDraw:
        return unweighted(schedule.time(u - self.scale * (torch.sin(math.pi / 2 * u) ** 2 - u)))


class CosineMap(EachForItself, StatelessTimeSampler):
    """t = 1 - 1 / (tan(pi u / 2) + 1) (Esser et al. 2024, eq. 21): the noise levels sigma / alpha of the cosine path, on the linear one."""

    def quantile(self, u: Float64[Tensor, " b"], schedule: NoiseSchedule) -> TimeDraw:
        return unweighted(schedule.time(1 - 1 / (torch.tan(math.pi / 2 * u) + 1)))
