"""Many measurements together: studies with their plans, statistics, tables and reports; settings swept over one noise bank."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.studies.evidence import Arm, Evidence, Replicate, gather
    from difflab.studies.history import History, read_history
    from difflab.studies.nodes import CitedRow
    from difflab.studies.spec import Evaluation, Row, Study, StudyError, load_study, read_study

__all__ = [
    "Arm",
    "CitedRow",
    "Evaluation",
    "Evidence",
    "History",
    "Replicate",
    "Row",
    "Study",
    "StudyError",
    "gather",
    "load_study",
    "read_history",
    "read_study",
]

on_demand(__name__)
