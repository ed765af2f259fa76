"""Models of runs and of others: loaded, frozen, or as initial weights."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.checkpoints.frozen import frozen_classifier, frozen_denoiser
    from difflab.checkpoints.initial import GivenWeights

__all__ = [
    "GivenWeights",
    "frozen_classifier",
    "frozen_denoiser",
]

on_demand(__name__)
