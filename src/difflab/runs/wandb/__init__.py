"""A run in Weights & Biases: the mirror of its directory, artifacts, results, offline sync."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.runs.wandb.mirror import Mirror, weights_and_biases
    from difflab.runs.wandb.service import WandbError
    from difflab.runs.wandb.sync import RunUpload, Uploads, sync

__all__ = [
    "Mirror",
    "RunUpload",
    "Uploads",
    "WandbError",
    "sync",
    "weights_and_biases",
]

on_demand(__name__)
