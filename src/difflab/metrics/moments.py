"""Mean and covariance of features, streamed.

Kept are n, sum f and sum f f^T in float64: D^2 numbers, whatever the number of images. Sums add up over batches and processes, so
order, batch size and number of processes change the result by rounding only (about 1e-12 relative).

    mean = sum f / n        covariance = (sum f f^T - n mean mean^T) / (n - 1)        as numpy.cov(rowvar=False)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from difflab.collective import sum_over_processes
from difflab.metrics.feature_set import FeatureSet


@dataclass(frozen=True)
class Gaussian:
    """Mean [D] and covariance [D, D] in float64 that were estimated from `count` images (0: unknown)."""

    mean: Float64[Tensor, " d"]
    covariance: Float64[Tensor, "d d"]
    count: int


class Moments:
    """Sums over features [B, D] that arrive batch by batch.

    count  float64 scalar, number of images       total  float64 [D]       outer  float64 [D, D]
    """

    def __init__(self, dimension: int, device: torch.device | str = "cpu"):
        self.count = torch.zeros((), dtype=torch.float64, device=device)
        self.total = torch.zeros(dimension, dtype=torch.float64, device=device)
        self.outer = torch.zeros(dimension, dimension, dtype=torch.float64, device=device)

    @property
    def dimension(self) -> int:
        return len(self.total)

    @property
    def sums(self) -> dict[str, Tensor]:
        """count, total and outer by name; written to, they change the moments."""
        return {"count": self.count, "total": self.total, "outer": self.outer}

    def update(self, features: Float[Tensor, "b d"]) -> None:
        if features.ndim != 2 or features.shape[1] != self.dimension:
            raise ValueError(f"features must be [B, {self.dimension}], got {list(features.shape)}")
        f = features.to(self.total)
        self.count += len(f)
        self.total += f.sum(dim=0)
        self.outer += f.T @ f

    def __add__(self, other: Moments) -> Moments:
        """The moments of both sets of images together."""
        both = Moments(self.dimension, self.total.device)
        both.count, both.total, both.outer = (
            self.count + other.count,
            self.total + other.total,
            self.outer + other.outer,
        )
        return both

    def all_reduced(self) -> Moments:
        """The sums over all processes, in one collective call; these moments stay as they are."""
        summed = Moments(self.dimension, self.total.device)
        summed.count, summed.total, summed.outer = sum_over_processes([self.count, self.total, self.outer])
        return summed

    def gaussian(self) -> Gaussian:
        n = int(self.count)
        if n < 2:
            raise ValueError(f"a covariance needs at least 2 images, got {n}")
        mean = self.total / n
        return Gaussian(mean, (self.outer - n * torch.outer(mean, mean)) / (n - 1), n)


def gaussian_of(features: FeatureSet, column: str = "features") -> Gaussian:
    """Mean and covariance of a column, in one pass."""
    moments = Moments(features.identity.columns[column])
    for _, rows in features.chunks(column):
        moments.update(rows)
    return moments.gaussian()
