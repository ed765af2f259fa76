"""Bits per dimension of many images: means over the images with standard errors, summed over batches and processes.

Kept are sums only: n, sum total, sum total^2, sum prior, and of every step of the chain the sums of its term of the bound and of
its squared errors. So memory is that of the chain, whatever the number of images. The terms themselves come from
`difflab.objectives.bound_steps`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from difflab.collective import sum_over_processes
from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.protocol import Protocol, Value
from difflab.metrics.results import Measurement

Step = tuple[float, Tensor, Tensor, Tensor]
"""(t, term of the bound, squared error of x_0, squared error of eps), [B] each: an `objectives.BoundStep`."""

NAME = "bits_per_dim"

INFO = MetricInfo(higher_is_better=False, unit="bits/dim", label="bits/dim")
"""Of 8-bit images, whose likelihoods are probabilities: never below 0."""


@dataclass(frozen=True)
class BitsPerDim:
    """Means over `samples` images; of the steps the cleanest first, float64 [N] each.

    value      prior + sum of vb: the bound on -log2 p(x_0), per dimension
    std_error  over other images, and other noise: sd / sqrt(samples)
    prior      the part of the chain's noisy end
    t          the time at each step's noisy end
    vb         each step's term, bits per dimension
    x0_mse     each step's squared error of x_0, in [-1, 1]
    eps_mse    each step's squared error of eps
    """

    value: float
    std_error: float
    samples: int
    prior: float
    t: Float64[Tensor, " n"]
    vb: Float64[Tensor, " n"]
    x0_mse: Float64[Tensor, " n"]
    eps_mse: Float64[Tensor, " n"]

    def measurement(self, protocol: Protocol) -> Measurement:
        return Measurement.of(NAME, self.value, self.samples, protocol, INFO, self.std_error, self.samples)

    @classmethod
    def declared(cls, name: str, fields: Mapping[str, Value]) -> MetricInfo | None:
        """What kind of number this is, if it is a bound that an earlier version measured."""
        return INFO if name == NAME else None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, for a file and for a plot of vb against t."""
        lists = {name: getattr(self, name).tolist() for name in ("t", "vb", "x0_mse", "eps_mse")}
        numbers = {name: getattr(self, name) for name in ("value", "std_error", "samples", "prior")}
        return {**numbers, "steps": lists}


class BoundSums:
    """Sums over batches of images.

    images  float64 [4]: n, sum total, sum total^2, sum prior
    steps   float64 [3, N]: sums of vb, x0_mse, eps_mse; the cleanest step first
    """

    def __init__(self, times: Float64[Tensor, " n"], device: torch.device | str = "cpu"):
        """times   of the chain, 0 = t_0 < ... < t_N"""
        self.t = times[1:].to("cpu", torch.float64)
        self.images = torch.zeros(4, dtype=torch.float64, device=device)
        self.steps = torch.zeros(3, len(self.t), dtype=torch.float64, device=device)

    def update(self, prior: Float[Tensor, " b"], steps: Iterable[Step]) -> Float64[Tensor, " b"]:
        """Adds a batch and gives its images' bounds.

        prior   `objectives.prior_bits`
        steps   `objectives.bound_steps`: all of them, the noisiest first; taken as they come, so that none is kept
        """
        prior = prior.to(self.images)
        total, found, sums = prior.clone(), [], []
        for t, *terms in steps:
            vb, x0_mse, eps_mse = (term.to(self.images) for term in terms)
            found.append(t)
            total += vb
            sums.append(torch.stack([vb.sum(), x0_mse.sum(), eps_mse.sum()]))
        if found[::-1] != self.t.tolist():
            raise ValueError(
                f"these sums are of a chain of {len(self.t)} steps at other times than the {len(found)} steps that came: "
                "give both the same chain, and its steps from the noisiest to the cleanest"
            )
        if not total.isfinite().all():
            worst = int((~total.isfinite()).nonzero()[0])
            raise ValueError(f"the bound of image {worst} of this batch of {len(total)} is not finite")
        n = torch.full_like(prior, 1).sum()
        self.images += torch.stack([n, total.sum(), total.square().sum(), prior.sum()])
        self.steps += torch.stack(sums[::-1], dim=1)
        return total

    def all_reduced(self) -> BoundSums:
        """The sums over all processes, in one collective call; these stay as they are."""
        summed = BoundSums(torch.cat([torch.zeros(1, dtype=torch.float64), self.t]), self.images.device)
        summed.images, summed.steps = sum_over_processes([self.images, self.steps])
        return summed

    def result(self) -> BitsPerDim:
        count, total, square, prior = self.images.tolist()
        if count < 2:
            raise ValueError(f"a standard error needs at least 2 images, got {count:.0f}")
        mean = total / count
        variance = max(square / count - mean**2, 0.0) * count / (count - 1)
        vb, x0_mse, eps_mse = (self.steps / count).cpu()
        return BitsPerDim(mean, math.sqrt(variance / count), int(count), prior / count, self.t, vb, x0_mse, eps_mse)
