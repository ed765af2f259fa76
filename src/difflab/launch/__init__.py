"""How and where processes run, and what ends them early."""

from difflab.launch.interruption import REQUEUE_EXIT_CODE, Interrupted, Interruption
from difflab.launch.launcher import Launcher
from difflab.launch.local import Local
from difflab.launch.processes import Processes, launched_rank

__all__ = ["REQUEUE_EXIT_CODE", "Interrupted", "Interruption", "Launcher", "Local", "Processes", "launched_rank"]
