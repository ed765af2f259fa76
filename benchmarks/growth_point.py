"""Sizes of one thing take turns: a curve's measurement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.contest import take_turns
from benchmarks.record import Measurement


@dataclass(frozen=True)
class Point:
    """One size of a curve.

    Attributes:
        x: The size.
        turn: Does the work once and returns what counts.
        counts: What else is known at that size: `flops` is compared with the time, `weights` ...
    """

    x: int
    turn: Callable[[], float]
    counts: dict[str, Any] = field(default_factory=dict)


def curve(
    case: str, unit: str, quantity: str, expected: str, points: Sequence[Point], rounds: int, warm_up: int
) -> Measurement:
    """Values of each point; the smallest is the baseline, so that two records compare growth and not speed.

    Args:
        case: As "training step against width".
        unit: Of the values.
        quantity: What x is: "width".
        expected: The exponent, in words: "2 (convolutions)".
        points: The sizes.
        rounds: 1 for what is counted exactly.
        warm_up: 0 for what is counted exactly.
    """
    named = {f"{quantity} {point.x}": point for point in points}
    return Measurement(
        bench="growth",
        case=case,
        unit=unit,
        more_is_better=False,
        values=take_turns({name: point.turn for name, point in named.items()}, rounds, warm_up),
        baseline=min(named, key=lambda name: named[name].x),
        facts={name: {"x": point.x, "expected": expected, **point.counts} for name, point in named.items()},
    )
