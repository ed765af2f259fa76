"""From images to numbers: sources, references, results, sweeps; one and the same while training and in evaluate.py."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.evaluation.batch_metrics import ImageMetrics, at_count
    from difflab.evaluation.bits_per_dim import BitsPerDim, BoundSums
    from difflab.evaluation.callback import EvaluationCallback, NoEvaluation, ScoresCallback, TrackEvaluation
    from difflab.evaluation.classification import ClassificationEvaluation, HeldOutAccuracy
    from difflab.evaluation.front import Point, draw_front, on_front
    from difflab.evaluation.in_training import Samples
    from difflab.evaluation.pair_scores import EnlargementMetrics, PairScores, measure_pairs
    from difflab.evaluation.published import (
        PublishedComparison,
        Target,
        compare_with_published,
        compare_with_targets,
        published_table,
        read_targets,
    )
    from difflab.evaluation.reference import ReferenceStatistics
    from difflab.evaluation.results import Measurement, Results
    from difflab.evaluation.statistics_file import StatisticsCache, StatisticsFile, open_statistics, save_statistics
    from difflab.evaluation.super_resolution import Enlargements
    from difflab.evaluation.sweep import AXES, Choice, Setting, choose, settings

__all__ = [
    "AXES",
    "BitsPerDim",
    "BoundSums",
    "Choice",
    "ClassificationEvaluation",
    "EnlargementMetrics",
    "Enlargements",
    "EvaluationCallback",
    "HeldOutAccuracy",
    "ImageMetrics",
    "Measurement",
    "NoEvaluation",
    "PairScores",
    "Point",
    "PublishedComparison",
    "ReferenceStatistics",
    "Results",
    "Samples",
    "ScoresCallback",
    "Setting",
    "StatisticsCache",
    "StatisticsFile",
    "Target",
    "TrackEvaluation",
    "at_count",
    "choose",
    "compare_with_published",
    "compare_with_targets",
    "draw_front",
    "measure_pairs",
    "on_front",
    "open_statistics",
    "published_table",
    "read_targets",
    "save_statistics",
    "settings",
]

on_demand(__name__)
