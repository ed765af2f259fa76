"""guided-diffusion's names for difflab's parts, and how its numbers are compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from difflab.parameterizations import X0, Epsilon, Parameterization, PreviousX
from difflab.schedules import NoiseSchedule, Tabulated, cosine, linear
from difflab.variances import FixedLarge, FixedSmall, Learned, LearnedRange, Variance

GOLDEN = Path(__file__).parent
SENSITIVITY = json.loads((GOLDEN / "gd_loops_sensitivity.json").read_text(encoding="utf-8"))

SCHEDULES: dict[str, Callable[[int], Tabulated]] = {"linear": linear, "cosine": cosine}
MEANS: dict[str, Callable[[NoiseSchedule], Parameterization]] = {
    "EPSILON": lambda schedule: Epsilon(),
    "START_X": lambda schedule: X0(),
    "PREVIOUS_X": PreviousX,
}
VARIANCES: dict[str, Callable[[], Variance]] = {
    "FIXED_SMALL": FixedSmall,
    "FIXED_LARGE": FixedLarge,
    "LEARNED": Learned,
    "LEARNED_RANGE": LearnedRange,
}


def difference(ours: Tensor | np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference of any example relative to the largest number of that example."""
    a = torch.as_tensor(ours).detach().double().numpy()
    b = np.asarray(theirs, dtype=np.float64)
    assert a.shape == b.shape, f"{a.shape} is not {b.shape}"
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    return float((np.abs(a - b).max(1) / np.abs(b).max(1)).max())


def tolerance(case: str) -> float:
    """How far a number of the loops may lie from the peer's: 1e-5, or twice by how much the peer's own float32 differs from its float64.

    Args:
        case: The number's key in gd_loops.npz. The file holds the differences that were found where the numbers were made, so that
            no tolerance depends on the processor that tests.
    """
    return max(1e-5, 2 * SENSITIVITY[case]["rel"])
