"""A decay that grows with training."""

from __future__ import annotations

from difflab.ema.averaging import Averaging


class WarmUp(Averaging):
    """beta = min(decay, (1 + n) / (10 + n)) after n steps: forgets the initial weights soon, then averages over ever longer times.

    The rule of TensorFlow's ExponentialMovingAverage(num_updates=n).

    decay   where the growth ends
    """

    def __init__(self, decay: float = 0.9999):
        if not 0 <= decay < 1:
            raise ValueError(f"an EMA decay must be in [0, 1), not {decay}")
        self.decay = decay

    def beta(self, step: int) -> float:
        return min(self.decay, (1 + step) / (10 + step))
