"""Strategies: one process, DDP, FSDP2 and DeepSpeed, with checkpoints that belong to none of them."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.training.sharding.deepspeed import DeepSpeed
    from difflab.training.sharding.fsdp import FSDP
    from difflab.training.sharding.strategy import DDP, Automatic, Single, TrainingStrategy

__all__ = [
    "DDP",
    "FSDP",
    "Automatic",
    "DeepSpeed",
    "Single",
    "TrainingStrategy",
]

on_demand(__name__)
