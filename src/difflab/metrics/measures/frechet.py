"""Frechet distance of pooled features: FID where the extractor is Inception (Heusel et al. 2017, eq. 6)."""

from __future__ import annotations

from difflab.metrics.bootstrap import frechet_replicates, standard_error
from difflab.metrics.extractor import Identity
from difflab.metrics.feature_set import FeatureSet
from difflab.metrics.frechet import frechet_distance
from difflab.metrics.metric import Metric, Needs, Reference, Replicates
from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.moments import gaussian_of


class Frechet(Metric):
    """fid, fd_digits ...: see metrics/frechet.py for the formula."""

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        return {identity.named("fd"): MetricInfo(higher_is_better=False, ratio=True, label=identity.label("FD", "FID"))}

    def needs(self) -> Needs:
        return Needs(reference_columns=frozenset({"features"}), references=2)

    def protocol(self) -> dict[str, str | int | float]:
        return {}

    def __call__(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        distance = frechet_distance(gaussian_of(samples), reference.gaussian("features")).distance
        return {samples.identity.named("fd"): distance}

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        values = frechet_replicates(samples, "features", reference.gaussian("features"), replicates)
        return {samples.identity.named("fd"): standard_error(values)}
