"""Runs outside of a study, compared."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.studies.compare.comparison import (
        ComparedMetric,
        Comparison,
        MetricDifference,
        compare,
        metric_difference,
    )
    from difflab.studies.compare.render import as_data, as_text, side_by_side
    from difflab.studies.compare.run_groups import GivenRun, Group

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

on_demand(__name__)
