"""Frechet distance of features that see where things are: sFID (Nash et al. 2021, "Generating Images with Sparse Representations").

Inception's are the first 7 channels of the last mixed_6 block, 7 x 17 x 17 = 2023 numbers, as guided-diffusion's evaluator takes them.
"""

from __future__ import annotations

from difflab.metrics.bootstrap import frechet_replicates, standard_error
from difflab.metrics.extractor import Identity
from difflab.metrics.feature_set import FeatureSet
from difflab.metrics.frechet import frechet_distance
from difflab.metrics.metric import Metric, Needs, Reference, Replicates
from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.moments import gaussian_of


class SpatialFrechet(Metric):
    """sfid, sfd_NAME: the formula of the FID on the column `spatial`."""

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        return {
            identity.named("sfd"): MetricInfo(higher_is_better=False, ratio=True, label=identity.label("sFD", "sFID"))
        }

    def needs(self) -> Needs:
        return Needs(columns=frozenset({"spatial"}), reference_columns=frozenset({"spatial"}), references=2)

    def protocol(self) -> dict[str, str | int | float]:
        return {}

    def __call__(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        distance = frechet_distance(gaussian_of(samples, "spatial"), reference.gaussian("spatial")).distance
        return {samples.identity.named("sfd"): distance}

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        values = frechet_replicates(samples, "spatial", reference.gaussian("spatial"), replicates)
        return {samples.identity.named("sfd"): standard_error(values)}
