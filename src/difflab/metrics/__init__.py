"""How good images are: Frechet and kernel distances, Inception Score, precision and recall, pairs; and each number's protocol."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.metrics.frechet import ClassFrechet, Frechet, FrechetInfinity, SpatialFrechet
    from difflab.metrics.gaussian import FrechetDistance, Gaussian, Moments, frechet_distance
    from difflab.metrics.images import PairMetric, Pairs, check_pairs
    from difflab.metrics.inception_score import Inception, InceptionOfSize
    from difflab.metrics.kernel import Cmmd, Kernel
    from difflab.metrics.known_share import KnownShare
    from difflab.metrics.metric import FeatureMetric, Metric, StreamedMetric
    from difflab.metrics.needs import Needs, Reference, Replicates
    from difflab.metrics.paired import (
        Consistency,
        FeatureDistance,
        LearnedPerceptual,
        PeakSignalToNoise,
        StructuralSimilarity,
    )
    from difflab.metrics.precision_recall import DensityCoverage, HalfPrecisionRecall, PrecisionRecall
    from difflab.metrics.protocol import Difference, MetricInfo, Protocol, ProtocolMismatch, at_count, check_comparable
    from difflab.metrics.sliced_wasserstein import SlicedWasserstein

__all__ = [
    "ClassFrechet",
    "Cmmd",
    "Consistency",
    "DensityCoverage",
    "Difference",
    "FeatureDistance",
    "FeatureMetric",
    "Frechet",
    "FrechetDistance",
    "FrechetInfinity",
    "Gaussian",
    "HalfPrecisionRecall",
    "Inception",
    "InceptionOfSize",
    "Kernel",
    "KnownShare",
    "LearnedPerceptual",
    "Metric",
    "MetricInfo",
    "Moments",
    "Needs",
    "PairMetric",
    "Pairs",
    "PeakSignalToNoise",
    "PrecisionRecall",
    "Protocol",
    "ProtocolMismatch",
    "Reference",
    "Replicates",
    "SlicedWasserstein",
    "SpatialFrechet",
    "StreamedMetric",
    "StructuralSimilarity",
    "at_count",
    "check_comparable",
    "check_pairs",
    "frechet_distance",
]

on_demand(__name__)
