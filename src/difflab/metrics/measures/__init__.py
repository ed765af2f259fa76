"""Metrics of stored features: each has a value, a standard error and the settings that define it."""

from difflab.metrics.measures.class_frechet import ClassFrechet
from difflab.metrics.measures.cmmd import Cmmd
from difflab.metrics.measures.consistency import Consistency
from difflab.metrics.measures.density_coverage import DensityCoverage
from difflab.metrics.measures.feature_distance import FeatureDistance
from difflab.metrics.measures.frechet import Frechet
from difflab.metrics.measures.frechet_infinity import FrechetInfinity
from difflab.metrics.measures.half_precision_recall import HalfPrecisionRecall
from difflab.metrics.measures.inception_score import Inception, InceptionOfSize
from difflab.metrics.measures.kernel import Kernel
from difflab.metrics.measures.learned_perceptual import LearnedPerceptual
from difflab.metrics.measures.peak_signal_to_noise import PeakSignalToNoise
from difflab.metrics.measures.precision_recall import PrecisionRecall
from difflab.metrics.measures.spatial_frechet import SpatialFrechet
from difflab.metrics.measures.structural_similarity import StructuralSimilarity

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
