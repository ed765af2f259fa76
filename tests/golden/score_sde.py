"""Numbers of yang-song/score_sde_pytorch (Apache-2.0), commit cb1f359, on the recipes' mixture; and what difflab needs to walk as it does.

Its process has tables of N steps, and its score is asked at the times linspace(1, eps, N) of the continuous process: `Peer` has both.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from recipes import gmm_denoise
from torch import Tensor

from difflab.process import over
from difflab.samplers.grids import Grid
from difflab.schedules import NoiseSchedule, SubVariancePreserving, VarianceExploding, VariancePreserving
from difflab.types import AlphaSigma, Condition, Prediction

SCORE_SDE = np.load(Path(__file__).parent / "score_sde.npz")

SDES = {
    "ve_50_1000": (VarianceExploding(0.01, 50.0), 1000),
    "ve_90_500": (VarianceExploding(0.02, 90.0), 500),
    "vp_1000": (VariancePreserving(19.9, 0.1), 1000),
    "vp_b05_10_200": (VariancePreserving(9.95, 0.05), 200),
    "subvp_1000": (SubVariancePreserving(19.9, 0.1), 1000),
    "subvp_b05_10_200": (SubVariancePreserving(9.95, 0.05), 200),
}
"""Its name of a process -> the schedule, and N."""


def mixture_score(schedule: NoiseSchedule, x: Tensor, t: Tensor) -> Tensor:
    alpha, sigma = (over(value, x) for value in schedule(t))
    return (alpha * gmm_denoise(x / alpha, (sigma / alpha).flatten()) - x) / sigma**2


def table(schedule: NoiseSchedule, steps: int) -> AlphaSigma:
    """Its levels: of the exploding process those of the formula, of the preserving one products of 1 - beta."""
    if isinstance(schedule, VarianceExploding):
        sigma = torch.linspace(
            math.log(schedule.sigma_min), math.log(schedule.sigma_max), steps, dtype=torch.float64
        ).exp()
        return AlphaSigma(torch.ones_like(sigma), sigma)
    assert isinstance(schedule, VariancePreserving)
    ends = schedule.beta_min / steps, (schedule.beta_min + schedule.beta_d) / steps
    alpha_bar = torch.cumprod(1 - torch.linspace(*ends, steps, dtype=torch.float64), 0)
    return AlphaSigma(alpha_bar.sqrt(), (1 - alpha_bar).sqrt())


class Times(Grid):
    """Its times linspace(eps, 1, N), below them the clean image."""

    def __init__(self, steps: int, eps: float):
        self.steps, self.eps = steps, eps

    def __call__(self, schedule):
        clean = torch.zeros(1, dtype=torch.float64)
        return torch.cat([clean, torch.linspace(self.eps, 1, self.steps, dtype=torch.float64)])


class Peer(NoiseSchedule):
    """The levels of its table at its times."""

    steps = None

    def __init__(self, schedule: NoiseSchedule, steps: int):
        self.schedule, self.count, self.levels = schedule, steps, table(schedule, steps)

    def __call__(self, t):
        row = (t * (self.count - 1)).long()
        return AlphaSigma(*(level[row] for level in self.levels))

    def network_time(self, t):
        return t

    def time(self, u):
        return u

    def denoise(self, x: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
        """The x_0 that makes the score of a step that of the continuous process."""
        return fed(self(t), x, mixture_score(self.schedule, x, t))


class Stretched(NoiseSchedule):
    """A process whose f and g^2 at n / N are the peer's at its n-th time: Euler's steps of 1 / N, as the peer takes them."""

    steps = None

    def __init__(self, schedule: NoiseSchedule, steps: int, eps: float):
        self.schedule, self.count, self.eps = schedule, steps, eps
        self.rate = (1 - eps) / (1 - 1 / steps)

    def peers(self, t):
        return self.eps + (t - 1 / self.count) * self.rate

    def __call__(self, t):
        alpha, sigma = self.schedule(self.peers(t).clamp(min=0))
        if isinstance(self.schedule, VarianceExploding):
            return AlphaSigma(alpha, sigma / self.rate**0.5)
        alpha = alpha ** (1 / self.rate)
        if isinstance(self.schedule, SubVariancePreserving):
            # of d sigma^2 / dt = g^2 - beta sigma^2 with beta = -d log alpha^2 / dt and g^2 = beta (1 - alpha^(4 rate)), from 0
            k = 2 * self.rate
            return AlphaSigma(alpha, (1 + (alpha ** (2 * k) - k * alpha**2) / (k - 1)).clamp(min=0).sqrt())
        return AlphaSigma(alpha, (1 - alpha**2).sqrt())

    def network_time(self, t):
        return t

    def time(self, u):
        return u

    def denoise(self, x: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
        return fed(self(t), x, mixture_score(self.schedule, x, self.peers(t)))


def fed(level: AlphaSigma, x: Tensor, score: Tensor) -> Prediction:
    """The x_0 that says a given score at a level."""
    alpha, sigma = (over(value, x) for value in level)
    return Prediction((x + sigma**2 * score) / alpha)


class Draws:
    """Its k-th random draw is that of RandomState(seed + k), whatever it is for."""

    def __init__(self, seed: int, batch: int):
        self.seed, self.k, self.number = seed, 0, torch.arange(batch)

    def normal(self, purpose, shape, step=0):
        self.k += 1
        return torch.from_numpy(np.random.RandomState(self.seed + self.k - 1).randn(len(self.number), *shape))

    def uniform(self, purpose, shape=(), step=0):
        raise AssertionError("nothing uniform is drawn")

    def shared(self, divisor):
        return self
