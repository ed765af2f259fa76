"""LightningModules, callbacks and strategies."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.training.module import ClassifierModule, DiffusionModule, PlainModule
    from difflab.training.optimizers import OptimizerPart, Optimizers
    from difflab.training.trained_module import TrainedModule

__all__ = [
    "ClassifierModule",
    "DiffusionModule",
    "OptimizerPart",
    "Optimizers",
    "PlainModule",
    "TrainedModule",
]

on_demand(__name__)
