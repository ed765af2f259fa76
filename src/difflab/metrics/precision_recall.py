"""Precision and recall, density and coverage.

Improved precision and recall (Kynkaanniemi et al. 2019, eq. 1, 2): fidelity and diversity apart.

    precision   share of samples that lie in the ball of some reference image
    recall      share of reference images that lie in the ball of some sample

The ball of an image reaches to its k-th nearest neighbour among its own kind, not counting itself; balls are closed. This is what
guided-diffusion's evaluator (ADM's tables: k = 3, 50,000 samples against 10,000 reference images) and torch-fidelity compute. The
evaluator does it in float16, which shifts the third digit: `HalfPrecisionRecall` is that form. Both numbers depend on how many images there
are on either side.

Standard errors, of other samples against the same reference:

    precision   a mean of independent yes and no: (p (1 - p) / (N - 1))^1/2
    recall      samples make each other's balls, so neither a bootstrap nor Poisson weights will do: a duplicate is a nearest neighbour
                at distance zero, and its ball shrinks. The samples are parted into halves and quarters instead (splits.py).

Density and coverage (Naeem et al. 2020, eq. 5, 6): precision and recall that outliers do not lift, on either side.

    density    1 / (k N) sum_j #{i: y_j in B(x_i)}            1 for samples of the reference's distribution; may exceed 1
    coverage   share of reference images x_i whose ball B(x_i) holds a sample

B(x_i) reaches to the k-th nearest other reference image and is open, as in the authors' code: the reference measured against itself has
density 1 and coverage 1. (Images that occur more than k times in the reference have empty balls.)

Standard errors, of other samples against the same reference: density is a mean over independent samples, their deviation over N^1/2. For
coverage they are parted into halves and quarters (splits.py); where nearly every ball holds several samples (coverage above 0.95) that is
on the safe side, up to 1.8 times the true one.

torch-fidelity's precision and recall are the same shares within an image or two; it has neither standard errors nor density and coverage,
and decides by float32 distances that cancel where two rows are alike (metrics/neighbours.py).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from difflab.features.extractor import FeatureSet, Identity
from difflab.metrics.metric import Metric
from difflab.metrics.needs import Counterpart, Needs, Reference, Replicates
from difflab.metrics.neighbours import (
    Cloud,
    Mask,
    ball_radii,
    both_features,
    clouds,
    deviation_from_splits,
    inside_balls,
    memberships,
    nearest,
    quarters,
    slices,
    squared_distances,
)
from difflab.metrics.protocol import MetricInfo


class _Shares(Metric):
    """Two shares of images that lie in balls.

    Args:
        k: Neighbours that the radius of a ball reaches to; 3 in ADM's tables.
        reference_images: How many of the reference's images are used, spread evenly over it; None for all. ADM's evaluator compares 50,000
            samples with 10,000 images, while its FID is to the statistics of all.
    """

    fronts = (("recall", "precision"),)

    higher_is_better = True
    plot_upper_bound = 1.0

    def __init__(self, k: int = 3, reference_images: int | None = None):
        if k < 1:
            raise ValueError(f"a ball reaches to the k-th neighbour: k must be at least 1, not {k}")
        if reference_images is not None and reference_images <= k:
            raise ValueError(
                f"reference_images = {reference_images}: each has {k} neighbours, so take at least {k + 1}"
            )
        super().__init__()
        self.k = k
        self.reference_images = reference_images

    def needs(self) -> Needs:
        return Needs(
            reference_features=True, samples=self.k + 1, reference_images=self.reference_images, references=self.k + 1
        )

    def _features(self, samples: FeatureSet, reference: Reference) -> tuple[Tensor, Tensor]:
        what = f"precision and recall with k = {self.k}"
        return both_features(what, samples, reference, self.k + 1, self.k + 1)


class PrecisionRecall(_Shares):
    """Improved precision and recall, see the module."""

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        return {identity.named(share): self.kind(identity.label(share)) for share in ("precision", "recall")}

    def protocol(self) -> dict[str, str | int | float]:
        return {"k": self.k}

    @property
    def counterpart(self) -> Counterpart:
        """Pairs at nearly the radius of a ball fall to one side or the other, a few in a set."""
        names = {"precision": "precision", "recall": "recall"}
        options = {"prc": True, "prc_neighborhood": self.k, "feature_layer_prc": "2048"}
        return Counterpart(names, options, absolute=1e-3, images=3)

    def measure(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        x, y = self._clouds(samples, reference)
        in_reference, _ = memberships(x, y, ball_radii(y, self.k))
        in_samples, _ = memberships(y, x, ball_radii(x, self.k))
        values = (in_reference > 0).double().mean().item(), (in_samples > 0).double().mean().item()
        return dict(zip(self.names(samples.identity), values, strict=True))

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        """Without recall's if there are fewer than 4 (k + 1) samples, too few for quarters."""
        precision, recall = self.names(samples.identity)
        x, y = self._clouds(samples, reference)
        p = (memberships(x, y, ball_radii(y, self.k))[0] > 0).double().mean().item()
        errors = {precision: math.sqrt(p * (1 - p) / (len(samples) - 1))}
        if len(samples) >= 4 * (self.k + 1):
            errors[recall] = _deviation_of_recall(x, y, self.k, replicates)
        return errors

    def _clouds(self, samples: FeatureSet, reference: Reference) -> list[Cloud]:
        return clouds(*self._features(samples, reference))


def _deviation_of_recall(x: Cloud, y: Cloud, k: int, replicates: Replicates) -> float:
    """Distances are computed once; a part of the samples is a mask on them.

    In a quarter, the ball of sample i reaches to the k-th of its neighbours that are in it too, one of its first 4 k or so; a list of the
    first `length` holds it but once in 1e5. Reference image j lies in the ball if no more neighbours of i than that are nearer to i than
    j is: their number is j's rank with i. Of the balls that might hold j the `kept` with the lowest rank are enough: a quarter has none of
    their owners once in 1e8.
    """
    length, kept = min(16 * (k + 1), len(x.rows) - 1), 64
    distances, neighbours = nearest(x, length)
    found = []
    for rows in slices(len(y.rows), 512):
        to_samples = squared_distances(y, x, rows, slice(0, len(x.rows)))
        query, owner = (to_samples <= distances[:, -1]).nonzero().T
        rank = _ranks(distances, owner, to_samples[query, owner])
        order = (query * (length + 1) + rank).argsort()
        query, owner, rank = query[order], owner[order], rank[order]
        count = query.bincount(minlength=len(to_samples))
        place = torch.arange(len(query)) - (count.cumsum(0) - count)[query]
        found.append(torch.stack([rows.start + query, owner, rank])[:, place < kept])
    query, owner, rank = torch.cat(found, dim=1)

    def recall(part: Mask) -> float:
        reach = (part[neighbours].cumsum(dim=1, dtype=torch.int16) < k).sum(dim=1)
        covered = torch.zeros(len(y.rows), dtype=torch.bool)
        covered[query[part[owner] & (rank <= reach[owner])]] = True
        return covered.double().mean().item()

    return deviation_from_splits(recall, quarters(len(x.rows), replicates))


def _ranks(distances: Float[Tensor, "n l"], owner: Int[Tensor, " p"], value: Float[Tensor, " p"]) -> Int[Tensor, " p"]:
    """How many of the owner's distances are smaller than the value; a few at a time, since there may be many owners."""
    pieces = zip(owner.split(2**16), value.split(2**16), strict=True)
    return torch.cat([(distances[o] < v[:, None]).sum(dim=1) for o, v in pieces])


class DensityCoverage(Metric):
    """Density and coverage, see the module.

    Args:
        k: Neighbours that the radius of a ball reaches to; 5 in the paper.
    """

    higher_is_better = True

    def __init__(self, k: int = 5):
        if k < 1:
            raise ValueError(f"a ball reaches to the k-th neighbour: k must be at least 1, not {k}")
        super().__init__()
        self.k = k

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        return {
            identity.named("density"): self.kind(identity.label("density")),
            identity.named("coverage"): MetricInfo(
                higher_is_better=True, bounds=(0.0, 1.0), label=identity.label("coverage")
            ),
        }

    def needs(self) -> Needs:
        return Needs(reference_features=True, samples=2, references=self.k + 1)

    def protocol(self) -> dict[str, str | int | float]:
        return {"k": self.k}

    def measure(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        x, y = self._clouds(samples, reference)
        balls, held = memberships(x, y, ball_radii(y, self.k), torch.lt)
        values = (balls.double().mean() / self.k).item(), (held > 0).double().mean().item()
        return dict(zip(self.names(samples.identity), values, strict=True))

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        x, y = self._clouds(samples, reference)
        balls, held = torch.zeros(len(samples), dtype=torch.float64), torch.zeros(len(y.rows), dtype=torch.int64)
        covered = []
        for rows, columns, inside in inside_balls(x, y, ball_radii(y, self.k), torch.lt):
            balls[rows] += inside.sum(dim=1)
            # of a ball's samples 64 are enough: that a quarter has none of them happens once in 1e8
            query, centre = (inside & (held[columns] < 64)).nonzero().T
            held[columns] += inside.sum(dim=0)
            covered.append(torch.stack([rows.start + query, columns.start + centre]))
        owner, ball = torch.cat(covered, dim=1)

        def share(part: Mask) -> float:
            occupied = torch.zeros(len(y.rows), dtype=torch.bool)
            occupied[ball[part[owner]]] = True
            return occupied.double().mean().item()

        density, coverage = self.names(samples.identity)
        deviation = (balls / self.k).std().item() / len(samples) ** 0.5
        partitions = quarters(len(samples), replicates)
        return {density: deviation, coverage: deviation_from_splits(share, partitions)}

    def _clouds(self, samples: FeatureSet, reference: Reference) -> list[Cloud]:
        what = f"density and coverage with k = {self.k}"
        return clouds(*both_features(what, samples, reference, samples_at_least=2, reference_at_least=self.k + 1))


class HalfPrecisionRecall(_Shares):
    """Precision and recall in float16, as the published tables of ADM have them.

    guided-diffusion's evaluator casts features, squared norms, products and squared distances to float16, eleven bits of precision:
    after a squared distance of 100 comes 100.0625, pairs tie, and closed balls hold more than they should (precision 0.8967 where
    float32 says 0.8933). This is that computation with sums in float32, which is how a GPU multiplies matrices of float16. Radii
    agree with the evaluator's to a rounding step of the squared norms, shares to an image or two: the order of its sums differs
    from one device to the next, and so do its last bits.

    Use `PrecisionRecall` unless a published number is to be reproduced.
    """

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        return {
            identity.named(f"{share}_fp16"): self.kind(identity.label(f"{share}, float16"))
            for share in ("precision", "recall")
        }

    def protocol(self) -> dict[str, str | int | float]:
        return {"k": self.k, "distances": "float16"}

    def measure(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        x, y = self._features(samples, reference)
        values = _share_inside(x, y, half_radii(y, self.k)), _share_inside(y, x, half_radii(x, self.k))
        return dict(zip(self.names(samples.identity), values, strict=True))

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        """Precision's, as in `PrecisionRecall`; for recall's ask that."""
        x, y = self._features(samples, reference)
        p = _share_inside(x, y, half_radii(y, self.k))
        return {self.names(samples.identity)[0]: math.sqrt(p * (1 - p) / (len(samples) - 1))}


def half_radii(x: Float[Tensor, "n d"], k: int) -> Float[Tensor, " n"]:
    """Squared distance to the (k + 1)-th nearest row, itself among them; the evaluator sorts its own distance, not always zero, too."""
    blocks = [_distances(x[rows], x).topk(k + 1, largest=False).values[:, -1] for rows in slices(len(x), 512)]
    return torch.cat(blocks)


def _share_inside(queries: Tensor, centres: Tensor, radii: Tensor) -> float:
    inside = [(_distances(queries[rows], centres) <= radii).any(dim=1) for rows in slices(len(queries), 512)]
    return torch.cat(inside).double().mean().item()


def _distances(u: Tensor, v: Tensor) -> Float[Tensor, "n m"]:
    """max(|u|^2 - 2 u.v + |v|^2, 0), rounded to float16 after each step, in float32."""
    u, v = _rounded(u), _rounded(v)
    norm_u, norm_v = (_rounded(_rounded(z.square()).sum(dim=1)) for z in (u, v))
    distances = _rounded(_rounded(norm_u[:, None] - 2 * _rounded(u @ v.T)) + norm_v).clamp_(min=0)
    if not distances.isfinite().all():
        raise ValueError(
            "squared distances of these features exceed 65504, the largest float16: there is no half-precision form of this number "
            "(the evaluator falls back to float32 there); use PrecisionRecall"
        )
    return distances


def _rounded(x: Tensor) -> Tensor:
    return x.half().float()
