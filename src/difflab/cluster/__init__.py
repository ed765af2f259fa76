"""Where work is done: here, or as a job of SLURM; and `doctor`, which examines both."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.cluster.launcher import Launcher, Local

__all__ = [
    "Launcher",
    "Local",
]

on_demand(__name__)
