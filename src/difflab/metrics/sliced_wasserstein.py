"""The sliced Wasserstein distance, which needs no covariance and no network: the number for points of the plane."""

from __future__ import annotations

import torch

from difflab.features.extractor import FeatureSet, Identity
from difflab.metrics.metric import Metric
from difflab.metrics.needs import Needs, Reference, Replicates
from difflab.metrics.neighbours import both_features
from difflab.metrics.protocol import MetricInfo


class SlicedWasserstein(Metric):
    """The mean over directions u of the Wasserstein-1 distance between samples and reference projected on u (Bonneel et al. 2015).

        (1 / L) sum_l W_1({u_l . x_i}, {u_l . y_j}),      W_1 = integral |F_x - F_y|

    by scipy.stats.wasserstein_distance, exactly and for any two numbers of points. The distance between two halves of the data, of as
    many points, is what a perfect model would get. There is no standard error: near that floor a resampled distance is biased by as much
    as it spreads. Compare seeds.

    Args:
        directions: L, drawn uniformly from the sphere.
        seed: Of their choice.
    """

    higher_is_better = False

    def __init__(self, directions: int = 64, seed: int = 0):
        if directions < 1:
            raise ValueError(f"directions={directions} must be at least 1")
        super().__init__()
        self.directions = directions
        self.seed = seed

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        return {identity.named("sw"): self.kind(identity.label("sliced Wasserstein"), ratio=True)}

    def needs(self) -> Needs:
        return Needs(reference_features=True, samples=1, references=1)

    def protocol(self) -> dict[str, str | int | float]:
        return {"directions": self.directions, "seed": self.seed}

    def measure(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        from scipy.stats import wasserstein_distance

        x, y = (z.double() for z in both_features("the sliced Wasserstein distance", samples, reference, 1, 1))
        generator = torch.Generator().manual_seed(self.seed)
        axes = torch.randn(x.shape[1], self.directions, dtype=torch.float64, generator=generator)
        axes = axes / axes.norm(dim=0)
        pairs = zip((x @ axes).T.numpy(), (y @ axes).T.numpy(), strict=True)
        distances = [float(wasserstein_distance(*pair)) for pair in pairs]
        return dict.fromkeys(self.names(samples.identity), sum(distances) / len(distances))

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        return {}
