"""What a row costs, before it is run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """Derived from the resolved configuration; the network is counted on the meta device.

    parameters             trained
    training_flops         of an image, forward and backward; a multiplication and an addition are two
    forward_flops          of an image, one call of the network
    sampling_calls         of the network for one image (guidance included)
    batch                  images of an optimizer step, over all processes
    steps                  optimizer steps
    ema_half_life_images   EMA track -> images after which a weight counts half, at the end of training
    """

    parameters: int
    training_flops: float
    forward_flops: float
    sampling_calls: int
    batch: int
    steps: int
    ema_half_life_images: dict[str, float]

    @property
    def images(self) -> int:
        """Seen in training."""
        return self.batch * self.steps

    @property
    def total_flops(self) -> float:
        """Of the training."""
        return self.images * self.training_flops
