"""Callbacks of a training: the sockets of objective, EMA and guidance, and what watches over the steps."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.training.callbacks.divergence import Diverged, DivergenceCallback, Rollback, RolledBack, SkipStep, Stop
    from difflab.training.callbacks.guidance import GuidanceCallback
    from difflab.training.callbacks.progress import ProgressCallback, ThroughputCallback
    from difflab.training.callbacks.sockets import EMACallback, ObjectiveCallback

__all__ = [
    "Diverged",
    "DivergenceCallback",
    "EMACallback",
    "GuidanceCallback",
    "ObjectiveCallback",
    "ProgressCallback",
    "Rollback",
    "RolledBack",
    "SkipStep",
    "Stop",
    "ThroughputCallback",
]

on_demand(__name__)
