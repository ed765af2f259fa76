"""Metrics of stored features: each has a value, a standard error and the settings that define it."""

from difflab.metrics.measures.density_coverage import DensityCoverage
from difflab.metrics.measures.frechet import ClassFrechet, Frechet, FrechetInfinity, SpatialFrechet
from difflab.metrics.measures.half_precision_recall import HalfPrecisionRecall
from difflab.metrics.measures.inception_score import Inception, InceptionOfSize
from difflab.metrics.measures.kernel import Cmmd, Kernel
from difflab.metrics.measures.paired import (
    Consistency,
    FeatureDistance,
    LearnedPerceptual,
    PeakSignalToNoise,
    StructuralSimilarity,
)
from difflab.metrics.measures.precision_recall import PrecisionRecall

__all__ = [
    "ClassFrechet",
    "Cmmd",
    "Consistency",
    "DensityCoverage",
    "FeatureDistance",
    "Frechet",
    "FrechetInfinity",
    "HalfPrecisionRecall",
    "Inception",
    "InceptionOfSize",
    "Kernel",
    "LearnedPerceptual",
    "PeakSignalToNoise",
    "PrecisionRecall",
    "SpatialFrechet",
    "StructuralSimilarity",
]
