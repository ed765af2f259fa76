"""What the rules of multistep samplers are told of a step, and what they say of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.schedules import NoiseSchedule
from difflab.types import AlphaSigma


class Place(NamedTuple):
    """A time of the chain with its levels; plain numbers, so that no GPU is waited for.

    Attributes:
        time: t.
        alpha: alpha_t.
        sigma: sigma_t.
    """

    time: float
    alpha: float
    sigma: float

    @property
    def level(self) -> float:
        """rho = sigma / alpha; infinite where no signal is left."""
        return self.sigma / self.alpha if self.alpha else math.inf

    @property
    def lam(self) -> float:
        """lambda = log(alpha / sigma), half of the log-SNR."""
        return -math.log(self.level)


def places(times: Float64[Tensor, " n"], level: AlphaSigma) -> list[Place]:
    """The places of some times, whose levels are given."""
    return [Place(*row) for row in torch.stack([times, *level], 1).tolist()]


WIDEST = 6.0
"""`Rule.widest` of rules that extrapolate along lambda: so wide a step takes the last change three times, and a wider one runs away."""


@dataclass(frozen=True)
class Span:
    """A step between two neighbours of a chain, and what is known when it is taken.

    Attributes:
        schedule: The model's.
        end: Where it leads to.
        past: Where there are predictions: where it begins, then the times before, as many as the step is to use.
    """

    schedule: NoiseSchedule
    end: Place
    past: tuple[Place, ...]

    @property
    def begin(self) -> Place:
        return self.past[0]

    @property
    def order(self) -> int:
        """How many predictions the step is to use."""
        return len(self.past)

    @property
    def h(self) -> float:
        """Its width lambda_s - lambda_t, positive."""
        return self.end.lam - self.begin.lam

    def exceeds(self, widest: float) -> bool:
        """Whether it is more than so many times as wide in lambda as the step before it. One to the clean image has no width."""
        return self.order > 1 and self.end.sigma > 0 and self.h > widest * (self.begin.lam - self.past[1].lam)

    @property
    def ratios(self) -> list[float]:
        """Of the times before its beginning: (lambda - lambda_t) / h, all negative."""
        return [(place.lam - self.begin.lam) / self.h for place in self.past[1:]]


class Weights(NamedTuple):
    """x_s = image x_t + sum_j past_j q_j + noise z.

    Attributes:
        image: Factor of x_t.
        past: Factors of the predictions, the newest first.
        noise: Standard deviation of the noise that is added.
    """

    image: float
    past: tuple[float, ...]
    noise: float = 0.0
