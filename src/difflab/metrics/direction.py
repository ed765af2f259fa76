"""Which way a metric is better, and between which values it can lie."""

from __future__ import annotations

import math

HIGHER = ("is", "precision", "recall", "density", "coverage", "psnr", "ssim")
"""Stems of the metrics that are better when higher; distances and bits per dimension are better when lower."""

SHARES = ("precision", "recall", "coverage")
"""Stems of the metrics that are shares of images."""

UNBIASED = ("kd", "kid", "fd_inf", "fid_inf")
"""Stems of the estimates that chance makes negative where the truth is near 0."""


def higher_is_better(metric: str) -> bool:
    """fid: False; is, precision_digits: True."""
    return _is_of(metric, HIGHER)


def has_direction(metric: str) -> bool:
    """A deviation over parts (is_std) is neither good nor bad."""
    return not metric.endswith("_std")


def limits(metric: str) -> tuple[float, float]:
    """The values that the metric can have."""
    if not has_direction(metric) or not _is_of(metric, (*SHARES, *UNBIASED)):
        return 0.0, math.inf
    return (0.0, 1.0) if _is_of(metric, SHARES) else (-math.inf, math.inf)


def _is_of(metric: str, stems: tuple[str, ...]) -> bool:
    return any(metric == stem or metric.startswith(f"{stem}_") for stem in stems)
