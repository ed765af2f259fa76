"""Metrics of stored features: each has a value, a standard error and the settings that define it."""

from difflab.metrics.measures.class_frechet import ClassFrechet
from difflab.metrics.measures.cmmd import Cmmd
from difflab.metrics.measures.density_coverage import DensityCoverage
from difflab.metrics.measures.frechet import Frechet
from difflab.metrics.measures.frechet_infinity import FrechetInfinity
from difflab.metrics.measures.half_precision_recall import HalfPrecisionRecall
from difflab.metrics.measures.inception_score import Inception, InceptionOfSize
from difflab.metrics.measures.kernel import Kernel
from difflab.metrics.measures.precision_recall import PrecisionRecall
from difflab.metrics.measures.spatial_frechet import SpatialFrechet

__all__ = [
    "ClassFrechet",
    "Cmmd",
    "DensityCoverage",
    "Frechet",
    "FrechetInfinity",
    "HalfPrecisionRecall",
    "Inception",
    "InceptionOfSize",
    "Kernel",
    "PrecisionRecall",
    "SpatialFrechet",
]
