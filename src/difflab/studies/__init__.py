"""Many measurements together: studies with their plans, statistics, tables and reports; settings swept over one noise bank."""

from difflab.studies.cost import Cost, read_cost
from difflab.studies.evidence import Arm, Evidence, Replicate
from difflab.studies.facts import Facts
from difflab.studies.front import Point, draw_front, on_front
from difflab.studies.gather import gather
from difflab.studies.history import History, read_history
from difflab.studies.plan import Cell, Plan, RowPlan, Training
from difflab.studies.selection import Choice, choose
from difflab.studies.study import Evaluation, Row, Study, StudyError, load_study, read_study
from difflab.studies.sweep import AXES, Setting, settings

__all__ = [
    "AXES",
    "Arm",
    "Cell",
    "Choice",
    "Cost",
    "Evaluation",
    "Evidence",
    "Facts",
    "History",
    "Plan",
    "Point",
    "Replicate",
    "Row",
    "RowPlan",
    "Setting",
    "Study",
    "StudyError",
    "Training",
    "choose",
    "draw_front",
    "gather",
    "load_study",
    "on_front",
    "read_cost",
    "read_history",
    "read_study",
    "settings",
]
