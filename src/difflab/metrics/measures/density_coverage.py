"""Density and coverage (Naeem et al. 2020, eq. 5, 6): precision and recall that outliers do not lift, on either side.

    density    1 / (k N) sum_j #{i: y_j in B(x_i)}            1 for samples of the reference's distribution; may exceed 1
    coverage   share of reference images x_i whose ball B(x_i) holds a sample

B(x_i) reaches to the k-th nearest other reference image and is open, as in the authors' code: the reference measured against itself has
density 1 and coverage 1. (Images that occur more than k times in the reference have empty balls.)

Standard errors, of other samples against the same reference: density is a mean over independent samples, their deviation over N^1/2. For
coverage they are parted into halves and quarters (splits.py); where nearly every ball holds several samples (coverage above 0.95) that is
on the safe side, up to 1.8 times the true one.
"""

from __future__ import annotations

import torch

from difflab.metrics.extractor import Identity
from difflab.metrics.feature_set import FeatureSet
from difflab.metrics.measures.both_features import both_features
from difflab.metrics.measures.neighbours import Cloud, ball_radii, clouds, inside_balls, memberships
from difflab.metrics.measures.splits import Mask, deviation_from_splits, quarters
from difflab.metrics.metric import Metric, Needs, Reference, Replicates
from difflab.metrics.metric_info import MetricInfo


class DensityCoverage(Metric):
    """k   neighbours that the radius of a ball reaches to; 5 in the paper"""

    def __init__(self, k: int = 5):
        if k < 1:
            raise ValueError(f"a ball reaches to the k-th neighbour: k must be at least 1, not {k}")
        self.k = k

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        return {
            identity.named("density"): MetricInfo(higher_is_better=True, label=identity.label("density")),
            identity.named("coverage"): MetricInfo(
                higher_is_better=True, bounds=(0.0, 1.0), label=identity.label("coverage")
            ),
        }

    def needs(self) -> Needs:
        return Needs(reference_features=True, samples=2, references=self.k + 1)

    def protocol(self) -> dict[str, str | int | float]:
        return {"k": self.k}

    def __call__(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
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
