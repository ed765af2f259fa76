"""Rows of equal size: the width or depth at which a row has the baseline's parameters, or computes as much."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from difflab.studies.spec import StudyError

Count = Callable[[int], float]
"""A setting -> what it costs; a ValueError where no network has it, as of 4 heads that do not divide the channels."""

UNITS: Mapping[str, Sequence[int]] = {"network.width": (8, 16, 32, 64, 128, 4, 2), "network.depth": (1,)}
"""What can be solved for, and the multiples of it that are tried. Multiples of 8 suit processors and groups of channels; larger ones are
for heads of a fixed width, smaller ones for networks so narrow that steps of 8 are too coarse."""


@dataclass(frozen=True)
class Match:
    """key      that was solved for
    value       found
    before      of the row as it was
    difference  that remains: the row's cost over the wanted one, minus 1
    """

    key: str
    value: int
    before: int
    difference: float

    @property
    def overrides(self) -> tuple[str, ...]:
        """Of train.py; none where the row was the nearest already."""
        return () if self.value == self.before else (f"{self.key}={self.value}",)

    def __str__(self) -> str:
        return f"{self.key}={self.value} ({100 * self.difference:+.2f} %)"


def match(key: str, before: int, count: Count, wanted: float, tolerance: float = 0.05) -> Match:
    """The multiple of a unit whose cost is nearest to the wanted one; a StudyError if that is off by more than `tolerance`.

    The unit is the smallest of 8, 16, ... whose odd multiples can be built, then 4 and 2 if its steps are too coarse. The cost must
    rise with the setting.

    key      one of `UNITS`
    before   what the row has
    count    of the row with another value
    wanted   the baseline's cost
    """
    if key not in UNITS:
        raise StudyError(f"{key} cannot be solved for: match by {' or '.join(UNITS)}")
    counted = cache(count)

    def off(value: int) -> float:
        return counted(value) / wanted - 1

    coarsest, neighbours, reason = 0, [], ""
    for unit in UNITS[key]:
        if coarsest and unit > coarsest:
            continue  # a multiple of what was too coarse
        try:
            counted(_odd_multiple(unit, before))
            neighbours = _neighbours(counted, unit, before, wanted)
        except ValueError as error:
            reason = reason or str(error)
            continue
        coarsest = coarsest or unit
        best = min([*_buildable(counted, before), *neighbours], key=lambda value: abs(off(value)))
        if abs(off(best)) <= tolerance:
            return Match(key, best, before, off(best))
    if not neighbours:
        raise StudyError(
            f"{key}={before}: no multiple of {', '.join(map(str, UNITS[key]))} near it can be built: {reason}"
        )
    shown = " and ".join(f"{key}={value} ({100 * off(value):+.1f} %)" for value in neighbours)
    raise StudyError(
        f"nothing comes within {100 * tolerance:g} % of the wanted {wanted:.4g}: the nearest are {shown}. Match by "
        f"{' or '.join(other for other in UNITS if other != key)}, or give the value by hand and declare it in `change`"
    )


def _odd_multiple(unit: int, near: int) -> int:
    """If it can be built, so can all multiples: an even one would speak of twice the unit."""
    times = near // unit
    return unit * (times + 1 - times % 2)


def _buildable(count: Count, value: int) -> list[int]:
    try:
        count(value)
    except ValueError:
        return []
    return [value]


def _neighbours(count: Count, unit: int, start: int, wanted: float) -> list[int]:
    """The multiples of the unit on both sides of the wanted cost; the upper one alone if there is no smaller one."""
    guess = max(1, start // unit)
    for _ in range(2):  # the cost grows about as the square of the width
        guess = max(1, round(guess * math.sqrt(wanted / count(guess * unit))))
    below, above, stride = guess, guess, 1
    while below and count(below * unit) > wanted:
        below, above, stride = max(0, below - stride), below, 2 * stride
    stride = 1
    while count(above * unit) <= wanted:
        below, above, stride = above, above + stride, 2 * stride
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if count(middle * unit) <= wanted else (below, middle)
    return [times * unit for times in (below, above) if times]
