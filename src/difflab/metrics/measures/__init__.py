"""Metrics of stored features: each has a value, a standard error and the settings that define it."""

from difflab.metrics.measures.class_frechet import ClassFrechet
from difflab.metrics.measures.frechet import Frechet
from difflab.metrics.measures.frechet_infinity import FrechetInfinity
from difflab.metrics.measures.inception_score import Inception, InceptionOfSize
from difflab.metrics.measures.spatial_frechet import SpatialFrechet

__all__ = ["ClassFrechet", "Frechet", "FrechetInfinity", "Inception", "InceptionOfSize", "SpatialFrechet"]
