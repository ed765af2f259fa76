"""The sampling error of a statistic whose images depend on each other, from random halves and quarters of the samples.

    V(N/2) = E (theta_A - theta_B)^2 / 2,     V(N/4) = E of the variance between four quarters,     V(N) ~ V(N/2)^2 / V(N/4)

The parts are independent sets of images, so the first two are without bias whatever theta is. The third continues the law by which the
variance falls: 1 / N for a mean, faster for a share that saturates, not at all for one that still grows with N. (To assume 1 / N is 20 %
short for recall.) No image occurs twice, which nearest-neighbour statistics would not forgive, and nothing is conditioned on: the spread of
theta_A alone over splits of the same samples would count the interactions of several images several times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from difflab.metrics.metric import Replicates

Mask = Bool[Tensor, " n"]


def quarters(count: int, replicates: Replicates) -> list[Bool[Tensor, "4 n"]]:
    """Four masks that part N images, per replicate."""
    generator = torch.Generator().manual_seed(replicates.seed)
    part = torch.arange(count) % 4
    partitions = []
    for _ in range(replicates.count):
        owner = part[torch.randperm(count, generator=generator)]
        partitions.append(owner == torch.arange(4)[:, None])
    return partitions


def deviation_from_splits(theta: Callable[[Mask], float], partitions: Sequence[Bool[Tensor, "4 n"]]) -> float:
    """Standard deviation of theta of all N images; theta takes the mask of the images that are there."""
    half = quarter = 0.0
    for masks in partitions:
        half += (theta(masks[0] | masks[1]) - theta(masks[2] | masks[3])) ** 2 / 2
        quarter += torch.tensor([theta(mask) for mask in masks], dtype=torch.float64).var().item()
    if quarter == 0:
        return math.sqrt(half / len(partitions) / 2)
    # an estimated ratio may be anything; of the statistics here it lies between these
    ratio = min(max(half / quarter, 0.25), 2.0)
    return math.sqrt(half / len(partitions) * ratio)
