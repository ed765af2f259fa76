"""How much a number would move over other samples of the same size: the Poisson bootstrap on stored features (Hanley and MacGibbon 2006).

A replicate gives image i the weight w_i = 1 + c (k_i - 1), k_i ~ Poisson(1), and computes the number again from weighted sums,

    n = sum w        mean = sum w f / n        covariance = (sum w f f^T - n mean mean^T) / (n - 1)

and the standard deviation of the replicates, divided by c, is the number's standard error. A k is a function of (seed, image number,
replicate), so neither parts nor processes change it, no image is embedded again, and two settings that were sampled from the same noise
get equal weights.

c = 1 is the textbook's bootstrap. A Frechet distance is curved, though: a covariance resampled with its full noise is as far from the
sample's as the sample's is from the truth, and the error comes out too large, by 30 % for 25 times as many images as dimensions and by 90 %
for 5 times. c = 1/4 stays where the number is nearly straight and leaves 13 % and 35 % (0 where the distance is large against its bias); an
interval errs on the wide side.

Images count as independent draws from the model. Where classes were drawn in fixed numbers, the scatter of their numbers is in the error
though not in the samples: again an interval that is too wide.

A replicate's n moves by c sqrt(N), and a number with a term in 1/n would move with it, as no set of N images does. What a straight
line against 1/n explains is therefore taken from the replicates; to first order nothing else goes with it, since to that order the
number does not depend on n.

The replicates' own mean and percentiles are of no use: a distance estimated from N images is too large by a term in 1/N, and weights add to
that term. Hence intervals are value -/+ t std_error, around what an estimate from N images is on average; the limit of many images is
FrechetInfinity's matter.

Rows are centred and rotated to the root R of the reference's covariance S_r = R R^T first, y = R^T (f - mean), because

    tr((S S_r)^1/2) = sum of the roots of the eigenvalues of R^T S R,    which is the covariance of y:

one symmetric eigenvalue problem a replicate. Sums within a chunk are float32, those over chunks float64: the error of a replicate is about
1e-7 of the covariances' traces, while a standard error from 100 replicates is itself known to 7 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from difflab.features.extractor import FeatureSet
from difflab.metrics.gaussian import Gaussian, covariance_root
from difflab.metrics.needs import Replicates
from difflab.noise import ImageNoise

_PURPOSE = "poisson bootstrap"
_MEMORY = 2**26
"""Float64 numbers (512 MB) that the sums of the replicates which are made in one pass may take."""

_DAMPING = 0.25
"""c."""

_CUMULATIVE = (-1 - torch.lgamma(torch.arange(1.0, 21, dtype=torch.float64))).exp().cumsum(0)
"""P(w <= 0), P(w <= 1), ... of Poisson(1)."""


def damped_weights(replicates: Replicates, number: Int[Tensor, " n"]) -> Float64[Tensor, "n r"]:
    """The weights of the images of these numbers in all replicates."""
    uniform = ImageNoise(replicates.seed, number).uniform(_PURPOSE, (replicates.count,))
    return 1 + _DAMPING * (torch.searchsorted(_CUMULATIVE, uniform).double() - 1)


def standard_error(values: Float64[Tensor, " r"]) -> float:
    """Of a number whose replicates under damped weights are these."""
    if len(values) < 4:
        raise ValueError(f"{len(values)} replicates are too few for a standard error: use 100, and 4 at the least")
    return values.std(correction=1).item() / _DAMPING


def at_equal_count(values: Float64[Tensor, " r"], count: Float64[Tensor, " r"]) -> Float64[Tensor, " r"]:
    """The replicates' values less what a line against 1 / count explains of their deviation."""
    x = 1 / count - (1 / count).mean()
    return values - x * (x @ values) / (x @ x).clamp(min=torch.finfo(x.dtype).tiny)


@dataclass
class WeightedMoments:
    """Sums over the images of one set for a block of r replicates.

    count [r] sum w    total [r, D] sum w x    square [r] sum w |x|^2    outer [r, k, k] sum w y y^T    projected [r, k] sum w y
    """

    count: Float64[Tensor, " r"]
    total: Float64[Tensor, "r d"]
    square: Float64[Tensor, " r"]
    outer: Float64[Tensor, "r k k"]
    projected: Float64[Tensor, "r k"]

    @classmethod
    def zeros(cls, r: int, d: int, k: int) -> WeightedMoments:
        zeros = partial(torch.zeros, dtype=torch.float64)
        return cls(zeros(r), zeros(r, d), zeros(r), zeros(r, k, k), zeros(r, k))

    def add(self, x: Float[Tensor, "n d"], y: Float[Tensor, "n k"], weights: Float64[Tensor, "n r"]) -> None:
        w = weights.to(x)
        self.count += weights.sum(dim=0)
        self.total += w.T @ x
        self.square += weights.T @ x.square().sum(dim=1).double()
        self.projected += w.T @ y
        for outer, column in zip(self.outer, w.T, strict=True):
            scaled = y * column[:, None].sqrt()
            outer += scaled.T @ scaled

    def __add__(self, other: WeightedMoments) -> WeightedMoments:
        return WeightedMoments(
            self.count + other.count,
            self.total + other.total,
            self.square + other.square,
            self.outer + other.outer,
            self.projected + other.projected,
        )

    def distances(self, reference: Frame) -> Float64[Tensor, " r"]:
        """The Frechet distance in each replicate."""
        n = self.count
        mean, centre = self.total / n[:, None], self.projected / n[:, None]
        trace = (self.square - n * mean.square().sum(dim=1)) / (n - 1)
        covariance = (self.outer - n[:, None, None] * centre[:, :, None] * centre[:, None, :]) / (n - 1)[:, None, None]
        roots = torch.linalg.eigvalsh(covariance).clamp(min=0).sqrt().sum(dim=1)
        return (mean - reference.mean).square().sum(dim=1) + trace + reference.trace - 2 * roots


@dataclass(frozen=True)
class Frame:
    """What replicates are compared with, seen from the mean of the samples: mean [D], root [D, k] and trace of the covariance."""

    origin: Float64[Tensor, " d"]
    mean: Float64[Tensor, " d"]
    root: Float64[Tensor, "d k"]
    trace: Float64[Tensor, ""]

    @classmethod
    def of(cls, reference: Gaussian, features: FeatureSet, column: str) -> Frame:
        total = torch.zeros(features.identity.columns[column], dtype=torch.float64)
        for _, rows in features.chunks(column):
            total += rows.double().sum(dim=0)
        origin, covariance = total / len(features), reference.covariance.cpu()
        return cls(origin, reference.mean.cpu() - origin, covariance_root(covariance), covariance.trace())


def moments_replicates(
    features: FeatureSet,
    column: str,
    frame: Frame,
    replicates: Replicates,
    number: Int[Tensor, " n"] | None = None,
    group: Int[Tensor, " n"] | None = None,
) -> Iterator[list[WeightedMoments]]:
    """For block after block of replicates, the sums of each group of images. Memory is that of one block.

    Args:
        features: Of the images.
        column: Which of them.
        frame: Coordinates in which the sums are taken.
        replicates: How many, and their seed.
        number: Number of each row's image, which its weights follow; None if row i is image i.
        group: 0 .. G - 1 of each row, None for one group of all.
    """
    groups = 1 if group is None else int(group.max()) + 1
    d, k = frame.root.shape
    size = max(1, _MEMORY // (groups * max(1, k * k)))
    root = frame.root.float()
    for first in range(0, replicates.count, size):
        block = slice(first, min(first + size, replicates.count))
        sums = [WeightedMoments.zeros(block.stop - block.start, d, k) for _ in range(groups)]
        for start, rows in features.chunks(column):
            here = slice(start, start + len(rows))
            x = (rows.double() - frame.origin).float()
            y = x @ root
            images = torch.arange(here.start, here.stop) if number is None else number[here]
            weights = damped_weights(replicates, images)[:, block]
            for g, group_sums in enumerate(sums):
                mine = slice(None) if group is None else group[here] == g
                group_sums.add(x[mine], y[mine], weights[mine])
        yield sums


def frechet_replicates(
    features: FeatureSet,
    column: str,
    reference: Gaussian,
    replicates: Replicates,
    number: Int[Tensor, " n"] | None = None,
) -> Float64[Tensor, " r"]:
    """The Frechet distance of a column in every replicate."""
    frame = Frame.of(reference, features, column)
    blocks = moments_replicates(features, column, frame, replicates, number)
    distances, counts = zip(*((sums.distances(frame), sums.count) for (sums,) in blocks), strict=True)
    return at_equal_count(torch.cat(distances), torch.cat(counts))


def score_replicates(
    features: FeatureSet, split: Int[Tensor, " n"], replicates: Replicates
) -> Float64[Tensor, "r splits"]:
    """The Inception-type score of every split, 0 .. S - 1 of each row, in every replicate."""
    splits, k = int(split.max()) + 1, features.identity.columns["logits"]
    count, p_log_p = (torch.zeros(splits, replicates.count, dtype=torch.float64) for _ in range(2))
    p = torch.zeros(splits, replicates.count, k, dtype=torch.float64)
    for start, rows in features.chunks("logits"):
        log_p = rows.double().log_softmax(dim=1)
        entropy = (log_p.exp() * log_p).sum(dim=1)
        weights = damped_weights(replicates, torch.arange(start, start + len(rows)))
        of_row = split[start : start + len(rows)]
        for s in of_row.unique().tolist():
            w = weights[of_row == s]
            count[s] += w.sum(dim=0)
            p_log_p[s] += w.T @ entropy[of_row == s]
            p[s] += w.T @ log_p.exp()[of_row == s]
    q = p / count[:, :, None]
    scores = torch.exp(p_log_p / count - torch.special.xlogy(q, q).sum(dim=2))
    return torch.stack([at_equal_count(*both) for both in zip(scores, count, strict=True)], dim=1)
