"""Models of runs and of others: loaded, frozen, or as initial weights."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.checkpoints.given import GivenWeights
    from difflab.checkpoints.load import frozen_classifier, frozen_denoiser

__all__ = [
    "GivenWeights",
    "frozen_classifier",
    "frozen_denoiser",
]

on_demand(__name__)
