"""The square-root schedule."""

from __future__ import annotations

import math

from difflab.schedules.alpha_bar import betas_along
from difflab.schedules.tabulated import Tabulated


def sqrt(steps: int = 1000, offset: float = 1e-4, max_beta: float = 0.999, time_scale: float = 1.0) -> Tabulated:
    """alpha_bar(u) = 1 - sqrt(u + s): noise rises fast at first (Li et al. 2022, "Diffusion-LM", appendix A).

    steps       T
    offset      s: noise power of the clean end
    max_beta    bound on each beta
    time_scale  see `Tabulated`
    """
    return Tabulated(betas_along(lambda u: max(1 - math.sqrt(u + offset), 0.0), steps, max_beta), time_scale)
