"""Many measurements together: studies with their plans, statistics, tables and reports; settings swept over one noise bank."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.studies.cited import CitedRow
    from difflab.studies.confounds import Comparison, changed_together, check_distinct, check_row, compare
    from difflab.studies.cost import Cost, read_cost
    from difflab.studies.differences import Difference, differences
    from difflab.studies.evidence import Arm, Evidence, Replicate
    from difflab.studies.facts import Facts
    from difflab.studies.front import Point, draw_front, on_front
    from difflab.studies.gather import gather
    from difflab.studies.history import History, read_history
    from difflab.studies.matching import Match, match
    from difflab.studies.plan import Cell, Plan, RowPlan, Training
    from difflab.studies.resolved import ResolvedConfig, with_seed
    from difflab.studies.selection import Choice, choose
    from difflab.studies.study import Evaluation, Row, Study, StudyError, load_study, read_study
    from difflab.studies.sweep import AXES, Setting, settings

__all__ = [
    "AXES",
    "Arm",
    "Cell",
    "Choice",
    "CitedRow",
    "Comparison",
    "Cost",
    "Difference",
    "Evaluation",
    "Evidence",
    "Facts",
    "History",
    "Match",
    "Plan",
    "Point",
    "Replicate",
    "ResolvedConfig",
    "Row",
    "RowPlan",
    "Setting",
    "Study",
    "StudyError",
    "Training",
    "changed_together",
    "check_distinct",
    "check_row",
    "choose",
    "compare",
    "differences",
    "draw_front",
    "gather",
    "load_study",
    "match",
    "on_front",
    "read_cost",
    "read_history",
    "read_study",
    "settings",
    "with_seed",
]

on_demand(__name__)
