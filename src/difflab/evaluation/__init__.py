"""From images to numbers: sources, references, results, sweeps; one and the same while training and in evaluate.py."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.evaluation.bits_per_dim import BitsPerDim, BoundSums
    from difflab.evaluation.callback import EvaluationCallback, NoEvaluation, ScoresCallback, TrackEvaluation
    from difflab.evaluation.classification import ClassificationEvaluation, HeldOutAccuracy
    from difflab.evaluation.clouds import CloudsCallback
    from difflab.evaluation.drawn import Enlargements, Samples
    from difflab.evaluation.evaluator import Evaluator
    from difflab.evaluation.front import Choice, Point, choose, draw_front, on_front
    from difflab.evaluation.in_training import LossesAlone
    from difflab.evaluation.options import EvaluationOptions
    from difflab.evaluation.published import (
        PublishedComparison,
        Target,
        compare_with_published,
        compare_with_targets,
        published_table,
        read_targets,
    )
    from difflab.evaluation.reference import FeatureReference, PublishedStatistics, ReferenceStatistics
    from difflab.evaluation.results import Measurement, Results
    from difflab.evaluation.statistics_file import StatisticsCache, StatisticsFile, open_statistics, save_statistics
    from difflab.evaluation.sweep import Setting, settings

__all__ = [
    "BitsPerDim",
    "BoundSums",
    "Choice",
    "ClassificationEvaluation",
    "CloudsCallback",
    "Enlargements",
    "EvaluationCallback",
    "EvaluationOptions",
    "Evaluator",
    "FeatureReference",
    "HeldOutAccuracy",
    "LossesAlone",
    "Measurement",
    "NoEvaluation",
    "Point",
    "PublishedComparison",
    "PublishedStatistics",
    "ReferenceStatistics",
    "Results",
    "Samples",
    "ScoresCallback",
    "Setting",
    "StatisticsCache",
    "StatisticsFile",
    "Target",
    "TrackEvaluation",
    "choose",
    "compare_with_published",
    "compare_with_targets",
    "draw_front",
    "on_front",
    "open_statistics",
    "published_table",
    "read_targets",
    "save_statistics",
    "settings",
]

on_demand(__name__)
