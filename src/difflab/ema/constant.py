"""A constant decay."""

from __future__ import annotations

from difflab.ema.averaging import Averaging


class Constant(Averaging):
    """beta = decay (Ho et al. 2020, appendix B, with 0.9999)."""

    def __init__(self, decay: float = 0.9999):
        if not 0 <= decay < 1:
            raise ValueError(f"an EMA decay must be in [0, 1), not {decay}")
        self.decay = decay

    def beta(self, step: int) -> float:
        return self.decay
