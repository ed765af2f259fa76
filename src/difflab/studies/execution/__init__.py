"""Running a study: its plan frozen on disk, a local pool, arrays of SLURM, and where everything is."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.studies.execution.array import Array
    from difflab.studies.execution.executor import Executor, LaunchError
    from difflab.studies.execution.launch import Decision, Launched, launch, retry
    from difflab.studies.execution.live import as_json, is_active, show, table, watch
    from difflab.studies.execution.places import Places
    from difflab.studies.execution.pool import Pool
    from difflab.studies.execution.preregistration import look, look_at_runs, namesake, preregister
    from difflab.studies.execution.queue import Place, Queue, ask
    from difflab.studies.execution.states import CellState, Planned, State, states

__all__ = [
    "Array",
    "CellState",
    "Decision",
    "Executor",
    "LaunchError",
    "Launched",
    "Place",
    "Places",
    "Planned",
    "Pool",
    "Queue",
    "State",
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
]

on_demand(__name__)
