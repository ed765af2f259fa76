"""LightningModules, callbacks and strategies."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.training.module import ClassifierModule, DiffusionModule, TrainedModule

__all__ = [
    "ClassifierModule",
    "DiffusionModule",
    "TrainedModule",
]

on_demand(__name__)
