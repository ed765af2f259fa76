"""Running a study: its tasks, a pool of workers on this machine, arrays of SLURM, and the state of everything."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.studies.execution.folder import StudyFolder
    from difflab.studies.execution.launching import Decision, Launched, launch, retry
    from difflab.studies.execution.live import as_json, is_active, show, table, watch, why_no_result
    from difflab.studies.execution.local import Pool
    from difflab.studies.execution.preregistration import look, look_at_runs, namesake, preregister
    from difflab.studies.execution.queue import Place, Queue, ask
    from difflab.studies.execution.slurm import SlurmArray
    from difflab.studies.execution.state import CellState, State, states
    from difflab.studies.execution.tasks import Executor, LaunchError, Planned

__all__ = [
    "CellState",
    "Decision",
    "Executor",
    "LaunchError",
    "Launched",
    "Place",
    "Planned",
    "Pool",
    "Queue",
    "SlurmArray",
    "State",
    "StudyFolder",
    "as_json",
    "ask",
    "is_active",
    "launch",
    "look",
    "look_at_runs",
    "namesake",
    "preregister",
    "retry",
    "show",
    "states",
    "table",
    "watch",
    "why_no_result",
]

on_demand(__name__)
