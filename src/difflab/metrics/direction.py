"""Which way a metric is better."""

from __future__ import annotations

HIGHER = ("is", "precision", "recall", "density", "coverage")
"""Stems of the metrics that are better when higher; distances and bits per dimension are better when lower."""


def higher_is_better(metric: str) -> bool:
    """fid: False; is, precision_digits: True."""
    return any(metric == stem or metric.startswith(f"{stem}_") for stem in HIGHER)
