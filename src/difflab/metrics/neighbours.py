"""Distances to the k-th neighbour and who lies in whose ball, exactly, in blocks.

Distances to the k-th neighbour and who lies in whose ball, exactly, in blocks.

    r_i^2 = |x_i - x_j|^2 of the k-th other row j         a ball around every row
    y is in the ball i if |y - x_i|^2 <= r_i^2            (or <, as the measure says)

Matrix products in float32 are fast, and cancel where two rows are alike: the distance of a row to its own copy comes out as 1e-6 of its
norm and not as zero. So they only sort the pairs: those that lie within the rounding error of a decision, a handful in a million, are
computed again from the differences in float64. Copies of an image are at distance zero, and the result does not depend on the blocks.
Memory is that of the features, once more for their centred form, and of a block.

The sampling error of a statistic whose images depend on each other, from random halves and quarters of the samples.

    V(N/2) = E (theta_A - theta_B)^2 / 2,     V(N/4) = E of the variance between four quarters,     V(N) ~ V(N/2)^2 / V(N/4)

The parts are independent sets of images, so the first two are without bias whatever theta is. The third continues the law by which the
variance falls: 1 / N for a mean, faster for a share that saturates, not at all for one that still grows with N. (To assume 1 / N is 20 %
short for recall.) No image occurs twice, which nearest-neighbour statistics would not forgive, and nothing is conditioned on: the spread of
theta_A alone over splits of the same samples would count the interactions of several images several times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from difflab.features.extractor import FeatureSet
from difflab.metrics.needs import Reference, Replicates

BLOCK = (512, 16384)
"""Rows and columns of a block of distances."""

ROUNDING = 64 * torch.finfo(torch.float32).eps
"""Error of a float32 squared distance |x|^2 + |y|^2 - 2 x.y, relative to |x|^2 + |y|^2; several times what D = 2048 shows."""

_SPARE = 4  # candidates beyond k + 1 that are looked at again in float64
_PAIRS = 4096  # that are looked at again at once


class Cloud(NamedTuple):
    """rows [N, D] as they are; centred [N, D] float32, about an origin that keeps squared norms [N] small."""

    rows: Float[Tensor, "n d"]
    centred: Float[Tensor, "n d"]
    norms: Float[Tensor, " n"]


def clouds(*sets: Float[Tensor, "_ d"]) -> list[Cloud]:
    """Both about the mean of the last."""
    origin = sets[-1].mean(dim=0, dtype=torch.float64).to(torch.float32)
    centred = [rows.to(torch.float32) - origin for rows in sets]
    return [Cloud(rows, x, x.square().sum(dim=1)) for rows, x in zip(sets, centred, strict=True)]


def squared_distances(a: Cloud, b: Cloud, rows: slice, columns: slice) -> Float[Tensor, "r c"]:
    """Of a block, in float32; may be negative by rounding."""
    return torch.addmm(b.norms[columns], a.centred[rows], b.centred[columns].T, alpha=-2).add_(a.norms[rows, None])


def nearest(cloud: Cloud, count: int, block: tuple[int, int] = BLOCK) -> tuple[Tensor, Tensor]:
    """Squared float32 distances [N, count] of each row to its nearest others, rising, and which they are [N, count]."""
    found = [_nearest(cloud, rows, count, block[1]) for rows in slices(len(cloud.rows), block[0])]
    return torch.cat([d for d, _ in found]), torch.cat([i for _, i in found])


def ball_radii(cloud: Cloud, k: int, block: tuple[int, int] = BLOCK) -> Float64[Tensor, " n"]:
    """Squared distance of each row to the k-th nearest of the others."""
    count = min(k + _SPARE, len(cloud.rows) - 1)
    radii = []
    for rows in slices(len(cloud.rows), block[0]):
        _, candidates = _nearest(cloud, rows, count, block[1])
        here = torch.arange(len(cloud.rows))[rows]
        pairs = here[:, None].expand_as(candidates).flatten(), candidates.flatten()
        exact = _exact(cloud, cloud, *pairs).reshape(candidates.shape)
        radii.append(exact.kthvalue(k, dim=1).values)
    return torch.cat(radii)


def memberships(
    queries: Cloud,
    centres: Cloud,
    radii: Float64[Tensor, " m"],
    within: Callable[[Tensor, Tensor], Tensor] = torch.le,
    block: tuple[int, int] = BLOCK,
) -> tuple[Int[Tensor, " n"], Int[Tensor, " m"]]:
    """In how many balls each query lies [N], and how many queries each ball holds [M]."""
    balls, held = (torch.zeros(len(cloud.rows), dtype=torch.int64) for cloud in (queries, centres))
    for rows, columns, inside in inside_balls(queries, centres, radii, within, block):
        balls[rows] += inside.sum(dim=1)
        held[columns] += inside.sum(dim=0)
    return balls, held


def inside_balls(
    queries: Cloud,
    centres: Cloud,
    radii: Float64[Tensor, " m"],
    within: Callable[[Tensor, Tensor], Tensor] = torch.le,
    block: tuple[int, int] = BLOCK,
) -> Iterator[tuple[slice, slice, Bool[Tensor, "r c"]]]:
    """(rows, columns, whether these queries lie in these balls), block by block.

    Args:
        queries: The points.
        centres: Centres of the balls.
        radii: Squared radii of the balls, [M].
        within: torch.le for closed balls, torch.lt for open ones.
        block: Rows and columns at a time.
    """
    for rows in slices(len(queries.rows), block[0]):
        for columns in slices(len(centres.rows), block[1]):
            margin = squared_distances(queries, centres, rows, columns).sub_(radii[columns].float())
            inside = margin <= 0
            i, j = (margin.abs() <= ROUNDING * (queries.norms[rows, None] + centres.norms[columns])).nonzero().T
            exact = _exact(queries, centres, rows.start + i, columns.start + j)
            inside[i, j] = within(exact, radii[columns.start + j])
            yield rows, columns, inside


def slices(total: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]


def _nearest(cloud: Cloud, rows: slice, count: int, width: int) -> tuple[Tensor, Tensor]:
    distances, others = [], []
    for columns in slices(len(cloud.rows), width):
        block = squared_distances(cloud, cloud, rows, columns)
        own = torch.arange(rows.start, rows.stop)
        here = (own >= columns.start) & (own < columns.stop)
        block[here.nonzero()[:, 0], own[here] - columns.start] = torch.inf  # an image is no neighbour of its own
        best, which = block.topk(min(count, block.shape[1]), largest=False)
        distances.append(best)
        others.append(columns.start + which)
    best, which = torch.cat(distances, dim=1).topk(count, largest=False)
    return best, torch.cat(others, dim=1).gather(1, which)


def _exact(a: Cloud, b: Cloud, i: Tensor, j: Tensor) -> Float64[Tensor, " p"]:
    """|a_i - b_j|^2 from the differences, in float64."""
    parts = [
        (a.rows[p].double() - b.rows[q].double()).square().sum(dim=1)
        for p, q in zip(i.split(_PAIRS), j.split(_PAIRS), strict=True)
    ]
    return torch.cat(parts)


def both_features(
    what: str, samples: FeatureSet, reference: Reference, samples_at_least: int, reference_at_least: int
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]]:
    """Features [N, D] of the samples and [M, D] of the reference.

    Args:
        what: Name of the metric, for the errors.
        samples: Features of the samples.
        reference: What they are compared with.
        samples_at_least: How many of the samples are needed.
        reference_at_least: How many of the reference are.

    Raises:
        ValueError: There are fewer than asked for, or the two are not comparable.
    """
    if reference.features is None:
        raise ValueError(
            f"{what} compares with the reference's images one by one, and of this reference only statistics are known: "
            "give a reference of images (a data set, a folder or an npz with arr_0)"
        )
    if samples.identity != reference.features.identity:
        raise ValueError(
            f"{what}: features of {samples.identity.name} and of {reference.features.identity.name} are not comparable"
        )
    if len(samples) < samples_at_least or len(reference.features) < reference_at_least:
        raise ValueError(
            f"{what} needs at least {samples_at_least} samples and {reference_at_least} reference images, "
            f"got {len(samples)} samples and {len(reference.features)} reference images"
        )
    return samples.column("features"), reference.features.column("features")


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
