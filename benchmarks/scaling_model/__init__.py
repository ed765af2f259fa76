"""How fast many processes would train, and what they would hold in memory: a model on paper."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from benchmarks.scaling_model.cluster import Cluster
    from benchmarks.scaling_model.prediction import Prediction, predict
    from benchmarks.scaling_model.sharding import Memory, Sharding
    from benchmarks.scaling_model.shardings import DDP, FSDP, ZeRO1, ZeRO2, ZeRO3
    from benchmarks.scaling_model.traffic import AllReduce, Gather, Traffic

__all__ = [
    "DDP",
    "FSDP",
    "AllReduce",
    "Cluster",
    "Gather",
    "Memory",
    "Prediction",
    "Sharding",
    "Traffic",
    "ZeRO1",
    "ZeRO2",
    "ZeRO3",
    "predict",
]

on_demand(__name__)
