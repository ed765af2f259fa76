"""Metrics of another package, under names that tell nothing of their direction."""

from __future__ import annotations

import math

from difflab.features.extractor import FeatureSet, Identity
from difflab.metrics import MetricInfo
from difflab.metrics.metric import Metric
from difflab.metrics.needs import Needs, Reference, Replicates

NAMES = ("realism", "clip_score", "accuracy", "top1", "ms_ssim", "vendi")


class Likeness(Metric):
    """exp(-distance of the mean features): 1 for the best of samples. All names give this number."""

    def __init__(self, names: tuple[str, ...] = NAMES):
        super().__init__()
        self._names = names

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        return {identity.named(name): MetricInfo(higher_is_better=True, bounds=(0.0, 1.0)) for name in self._names}

    def needs(self) -> Needs:
        return Needs(reference_columns=frozenset({"features"}))

    def protocol(self) -> dict[str, str | int | float]:
        return {}

    def measure(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        mean = samples.column("features").double().mean(dim=0)
        distance = (mean - reference.gaussian("features").mean).norm().item()
        return dict.fromkeys(self.names(samples.identity), math.exp(-0.1 * distance))

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        return dict.fromkeys(self.names(samples.identity), 0.01)


class Failing(Likeness):
    """A number that is none, and one outside of the bounds that it declares."""

    def __init__(self) -> None:
        super().__init__(("realism", "accuracy"))

    def measure(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        return {samples.identity.named("realism"): math.nan, samples.identity.named("accuracy"): 3.2}


class Undeclared(Metric):
    """As metrics were written before they had to declare what their numbers are."""

    def names(self, identity: Identity) -> list[str]:
        return [identity.named("realism")]

    def needs(self) -> Needs:
        return Needs()

    def protocol(self) -> dict[str, str | int | float]:
        return {}

    def measure(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        return {samples.identity.named("realism"): 1.0}

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        return {}
