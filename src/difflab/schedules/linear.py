"""The schedule of DDPM."""

from __future__ import annotations

import numpy as np

from difflab.schedules.tabulated import Tabulated


def linear(steps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02, time_scale: float = 1.0) -> Tabulated:
    """beta_i rises linearly from (1000 / T) beta_start to (1000 / T) beta_end.

    Ho et al. 2020, section 4, for T = 1000; the factor 1000 / T (Nichol and Dhariwal 2021) keeps the noise at the end alike for any T.

    steps       T, at least 1000 beta_end: with fewer, the last beta would be over 1
    time_scale  see `Tabulated`
    """
    if steps < 1:
        raise ValueError(f"a schedule needs at least one step, not {steps}")
    scale = 1000 / steps
    if scale * beta_end > 1:
        raise ValueError(
            f"a linear schedule of {steps} steps ends at beta = {scale * beta_end:.4g} > 1: use at least "
            f"{int(np.ceil(1000 * beta_end))} steps, or the cosine schedule"
        )
    return Tabulated(np.linspace(scale * beta_start, scale * beta_end, steps, dtype=np.float64), time_scale)
