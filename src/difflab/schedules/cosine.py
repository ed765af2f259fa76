"""The cosine schedule of Improved DDPM."""

from __future__ import annotations

import math

from difflab.schedules.alpha_bar import betas_along
from difflab.schedules.tabulated import Tabulated


def cosine(steps: int = 1000, offset: float = 0.008, max_beta: float = 0.999, time_scale: float = 1.0) -> Tabulated:
    """alpha_bar(u) = cos^2((u + s) / (1 + s) pi / 2) (Nichol and Dhariwal 2021, eq. 17).

    steps       T
    offset      s: keeps the first betas from vanishing
    max_beta    bound on each beta: keeps a rest of signal at the end
    time_scale  see `Tabulated`
    """
    return Tabulated(
        betas_along(lambda u: math.cos((u + offset) / (1 + offset) * math.pi / 2) ** 2, steps, max_beta), time_scale
    )
