"""How fast many processes would train, and what they would hold in memory: a model on paper."""

from difflab.launch.scaling.cluster import Cluster
from difflab.launch.scaling.prediction import Prediction, predict
from difflab.launch.scaling.sharding import Memory, Sharding
from difflab.launch.scaling.shardings import DDP, FSDP, ZeRO1, ZeRO2, ZeRO3
from difflab.launch.scaling.traffic import AllReduce, Gather, Traffic
from difflab.launch.scaling.workload import Workload

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
    "Workload",
    "ZeRO1",
    "ZeRO2",
    "ZeRO3",
    "predict",
]
