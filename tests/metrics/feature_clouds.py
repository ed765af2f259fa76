"""Points in place of images' features, for tests of what compares them."""

from dataclasses import dataclass

import torch

from difflab.features import Features, FeatureSet, Identity
from difflab.metrics import Gaussian, Moments


def feature_set(points, name: str = "inception") -> FeatureSet:
    points = torch.as_tensor(points, dtype=torch.float32)
    return FeatureSet.of(Identity(name, points.shape[1], "none"), Features(points))


@dataclass
class ReferenceOf:
    """A reference of which the features are known."""

    features: FeatureSet | None
    count: int = 0
    columns: frozenset[str] = frozenset({"features"})

    def gaussian(self, column: str) -> Gaussian:
        assert self.features is not None
        moments = Moments(self.features.identity.dimension)
        moments.update(self.features.column(column))
        return moments.gaussian()


def compared(metric, samples, reference, name: str = "inception") -> list[float]:
    """The metric's numbers."""
    return list(metric.measure(feature_set(samples, name), ReferenceOf(feature_set(reference, name))).values())
