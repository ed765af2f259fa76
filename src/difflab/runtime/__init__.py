"""The process and its machine: signals, output, child processes, packages, progress."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.runtime.interruption import Interrupted, Interruption
    from difflab.runtime.process import REQUEUE_EXIT_CODE, launched_rank

__all__ = [
    "REQUEUE_EXIT_CODE",
    "Interrupted",
    "Interruption",
    "launched_rank",
]

on_demand(__name__)
