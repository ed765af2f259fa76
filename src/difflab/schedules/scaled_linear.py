"""The schedule of latent diffusion and Stable Diffusion."""

from __future__ import annotations

import numpy as np

from difflab.schedules.tabulated import Tabulated


def scaled_linear(
    steps: int = 1000, beta_start: float = 0.00085, beta_end: float = 0.012, time_scale: float = 1.0
) -> Tabulated:
    """sqrt(beta_i) rises linearly from sqrt(beta_start) to sqrt(beta_end) (Rombach et al. 2022, released configurations).

    steps       T; the end points are those of T = 1000 and are not rescaled
    time_scale  see `Tabulated`
    """
    if steps < 1:
        raise ValueError(f"a schedule needs at least one step, not {steps}")
    return Tabulated(np.linspace(beta_start**0.5, beta_end**0.5, steps, dtype=np.float64) ** 2, time_scale)
