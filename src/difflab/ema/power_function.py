"""An average whose length is a fixed share of training."""

from __future__ import annotations

import numpy as np

from difflab.ema.averaging import Averaging


class PowerFunction(Averaging):
    """beta = (1 - 1 / step)^(gamma + 1): weights of step i count in proportion to i^gamma (Karras et al. 2024, EDM2, eq. 127).

    std     relative standard deviation of the weights' profile, which determines gamma by
            std^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3)); 0.05 and 0.1 are common
    """

    def __init__(self, std: float):
        if not 0 < std < 0.288:  # gamma > 0
            raise ValueError(
                f"the relative standard deviation of a power-function EMA must be in (0, 0.288), not {std}"
            )
        self.std = std
        # s = std^-2:  gamma^3 + 7 gamma^2 + (16 - s) gamma + (12 - s) = 0 (EDM2, algorithm 2)
        s = std**-2
        self.gamma = float(np.roots([1, 7, 16 - s, 12 - s]).real.max())

    def beta(self, step: int) -> float:
        return (1 - 1 / step) ** (self.gamma + 1)
