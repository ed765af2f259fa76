"""Runs outside of a study, compared."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.studies.compare.comparison import ComparedMetric, Comparison, as_data, as_text, compare
    from difflab.studies.compare.run_groups import GivenRun, Group

__all__ = [
    "ComparedMetric",
    "Comparison",
    "GivenRun",
    "Group",
    "as_data",
    "as_text",
    "compare",
]

on_demand(__name__)
