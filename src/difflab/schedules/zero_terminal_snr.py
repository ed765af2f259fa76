"""Zero terminal signal-to-noise ratio."""

from __future__ import annotations

import numpy as np

from difflab.schedules.tabulated import Tabulated


def zero_terminal_snr(schedule: Tabulated) -> Tabulated:
    """Another schedule, shifted and stretched so that its last step holds no signal.

    alpha'_i = (alpha_i - alpha_T) alpha_1 / (alpha_1 - alpha_T).

    Lin et al. 2024, "Common Diffusion Noise Schedules and Sample Steps are Flawed", algorithm 1. A network that predicts eps
    learns nothing at the last step and cannot be sampled from there: combine it with the v or x0 parameterization.
    """
    alpha = np.sqrt(np.cumprod(1 - schedule.betas.numpy()))
    if len(alpha) < 2:
        raise ValueError("zero terminal SNR needs a schedule of at least 2 steps")
    alpha = (alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])
    alpha_bar = alpha**2
    return Tabulated(1 - np.append(alpha_bar[0], alpha_bar[1:] / alpha_bar[:-1]), schedule.time_scale)
