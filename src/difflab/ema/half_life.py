"""A half-life in images."""

from __future__ import annotations

from difflab.ema.averaging import Averaging


class HalfLife(Averaging):
    """beta = 0.5^(batch_size / h), h = min(half_life, ramp_up * images seen before the step) (Karras et al. 2022, EDM's training code).

    Does not change its meaning with the batch size. The first step forgets the initial weights.

    half_life    images after which a weight counts half
    batch_size   the global batch
    ramp_up      bound on the half-life as a share of the images seen so far
    """

    def __init__(self, half_life: float, batch_size: int, ramp_up: float = 0.05):
        if half_life <= 0 or ramp_up <= 0:
            raise ValueError(f"half_life = {half_life} images and ramp_up = {ramp_up} must be positive")
        if batch_size < 1:
            raise ValueError(f"batch_size = {batch_size} must be the global batch, at least 1")
        self.half_life = half_life
        self.batch_size = batch_size
        self.ramp_up = ramp_up

    def beta(self, step: int) -> float:
        images = min(self.half_life, self.ramp_up * (step - 1) * self.batch_size)
        return 0.5 ** (self.batch_size / images) if images else 0.0
