"""How and where processes run, and what ends them early."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.launch.exit_code import REQUEUE_EXIT_CODE
    from difflab.launch.interruption import Interrupted, Interruption
    from difflab.launch.launcher import Launcher
    from difflab.launch.local import Local
    from difflab.launch.processes import Processes
    from difflab.launch.rank import launched_rank

__all__ = ["REQUEUE_EXIT_CODE", "Interrupted", "Interruption", "Launcher", "Local", "Processes", "launched_rank"]

on_demand(__name__)
