"""How good are the samples: extractors, Frechet distance, Inception Score, reference statistics, and the protocol of every number."""

from difflab.metrics.best_available import best_available
from difflab.metrics.bits_per_dim import BitsPerDim, BoundSums
from difflab.metrics.cache import StatisticsCache
from difflab.metrics.clip import ClipExtractor
from difflab.metrics.digits import DigitsExtractor
from difflab.metrics.dinov2 import DinoV2Extractor
from difflab.metrics.efficientnet_lite0 import EfficientNetLite0Extractor
from difflab.metrics.enlargement_metrics import EnlargementMetrics
from difflab.metrics.evaluator import ImageMetrics, at_count
from difflab.metrics.extractor import FeatureExtractor, Features, Identity
from difflab.metrics.feature_set import FeatureSet
from difflab.metrics.frechet import FrechetDistance, frechet_distance
from difflab.metrics.inception import InceptionExtractor, find_inception_weights
from difflab.metrics.inception_score import InceptionScore, Score
from difflab.metrics.metric import Metric, Needs, Reference, Replicates
from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.moments import Gaussian, Moments
from difflab.metrics.pair_metric import PairMetric, Pairs, check_pairs
from difflab.metrics.pair_scores import PairScores, measure_pairs
from difflab.metrics.protocol import Difference, Protocol, ProtocolMismatch, check_comparable
from difflab.metrics.published import (
    PublishedComparison,
    Target,
    compare_with_published,
    compare_with_targets,
    published_table,
    read_targets,
)
from difflab.metrics.quantize import to_uint8, to_uint8_truncated
from difflab.metrics.reference import ImageSource, ReferenceStatistics
from difflab.metrics.results import Measurement, Results
from difflab.metrics.statistics_file import StatisticsFile, open_statistics, save_statistics
from difflab.metrics.thumbnail import ThumbnailExtractor

__all__ = [
    "BitsPerDim",
    "BoundSums",
    "ClipExtractor",
    "Difference",
    "DigitsExtractor",
    "DinoV2Extractor",
    "EfficientNetLite0Extractor",
    "EnlargementMetrics",
    "FeatureExtractor",
    "FeatureSet",
    "Features",
    "FrechetDistance",
    "Gaussian",
    "Identity",
    "ImageMetrics",
    "ImageSource",
    "InceptionExtractor",
    "InceptionScore",
    "Measurement",
    "Metric",
    "MetricInfo",
    "Moments",
    "Needs",
    "PairMetric",
    "PairScores",
    "Pairs",
    "Protocol",
    "ProtocolMismatch",
    "PublishedComparison",
    "Reference",
    "ReferenceStatistics",
    "Replicates",
    "Results",
    "Score",
    "StatisticsCache",
    "StatisticsFile",
    "Target",
    "ThumbnailExtractor",
    "at_count",
    "best_available",
    "check_comparable",
    "check_pairs",
    "compare_with_published",
    "compare_with_targets",
    "find_inception_weights",
    "frechet_distance",
    "measure_pairs",
    "open_statistics",
    "published_table",
    "read_targets",
    "save_statistics",
    "to_uint8",
    "to_uint8_truncated",
]
