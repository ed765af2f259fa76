"""A study's file becomes a plan: every row resolved, checked and counted, before anything runs."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.studies.planning.confounds import (
        Changes,
        ConfigDifference,
        changed_together,
        check_distinct,
        check_row,
        compare,
        differences,
    )
    from difflab.studies.planning.counting import Workload
    from difflab.studies.planning.facts import Match, match
    from difflab.studies.planning.plan import Cell, Facts, Plan, RowPlan, Training

__all__ = [
    "Cell",
    "Changes",
    "ConfigDifference",
    "Facts",
    "Match",
    "Plan",
    "RowPlan",
    "Training",
    "Workload",
    "changed_together",
    "check_distinct",
    "check_row",
    "compare",
    "differences",
    "match",
]

on_demand(__name__)
