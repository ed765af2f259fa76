"""Runs outside of a study, side by side: configurations, numbers with intervals, samples."""

from difflab.studies.ad_hoc.comparison import ComparedMetric, Comparison, compare
from difflab.studies.ad_hoc.given_runs import GivenRun, Group
from difflab.studies.ad_hoc.metric_difference import MetricDifference, metric_difference
from difflab.studies.ad_hoc.pictures import side_by_side
from difflab.studies.ad_hoc.telling import as_data, as_text

__all__ = [
    "ComparedMetric",
    "Comparison",
    "GivenRun",
    "Group",
    "MetricDifference",
    "as_data",
    "as_text",
    "compare",
    "metric_difference",
    "side_by_side",
]
