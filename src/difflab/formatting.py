"""Numbers and tables as text.

A number with a half-width is rounded as its uncertainty allows: two significant digits of the half-width, the value to the same place.
13.4567 -/+ 0.1234 is 13.46 -/+ 0.12; 812.3 -/+ 123.4 is 810 -/+ 120. (Particle Data Group's practice, with two digits always; sigfig and
uncertainties round to one digit or to two by the leading digit, and neither keeps a value's places without an uncertainty.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any


def clock(seconds: float) -> str:
    """1:02:03, or 2-01:02:03 with the days before it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{f'{days}-{hours:02d}' if days else hours}:{minutes:02d}:{rest:02d}"


def number(value: float) -> str:
    """With three significant digits, and all those before the point: 12,345, 123, 12.3, 0.0123."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines, the cells of a column below each other."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


NOTHING = "–"
"""In place of a number that there is none of."""

DIGITS = 2
"""Significant ones of a half-width."""

ALONE = 4
"""Significant digits of a value that has no half-width."""

SCALED = 3
"""Significant digits of a number with a prefix."""

_EXACT = Context(prec=1000, rounding=ROUND_HALF_EVEN)
"""As many digits as a float64 can need."""


def rounded(value: float, half_width: float | None) -> tuple[str, str | None]:
    """The texts of both; the half-width's is None where there is none, or where it is infinite."""
    if half_width is None or not math.isfinite(half_width) or not math.isfinite(value):
        return _alone(value), None
    if half_width == 0:
        return _alone(value), "0"
    place = _place(half_width, DIGITS)
    return _at(value, place), _at(half_width, place)


def signed(value: float, half_width: float | None) -> tuple[str, str | None]:
    """The same with a sign before the value; zero has none."""
    text, spread = rounded(value, half_width)
    is_zero = not any(digit in text for digit in "123456789") and text not in ("inf", "nan")
    return text if is_zero or text.startswith("-") else f"+{text}", spread


def probability(p: float) -> str:
    """Two significant digits; below 0.001 that it is."""
    if p < 0.001:
        return "<0.001"
    return _at(min(p, 1.0), _place(p, DIGITS))


def decimals(*values: float) -> int:
    """How many a published number has, as it was printed; the most of several."""
    return max(0, *(-int(Decimal(repr(float(f"{value:.12g}"))).normalize().as_tuple().exponent) for value in values))


def scaled(value: float | None) -> str:
    """Three significant digits with a prefix: 1.90 M, 141 M."""
    if value is None:
        return NOTHING
    power, prefix = _prefix(value, SCALED)
    short = value / 1000**power
    return f"{_at(short, _place(short, SCALED))} {prefix}" if prefix else f"{value:.3g}"


def prefixed(value: float, digits: int = 3) -> str:
    """So many significant digits at most, and the prefix of a unit that follows: 505 E, 1.9 M."""
    power, prefix = _prefix(value, digits)
    return f"{value / 1000**power:.{digits}g} {prefix}"


def _prefix(value: float, digits: int) -> tuple[int, str]:
    """The power of 1000 and its prefix, once the value is rounded to so many digits."""
    for power, prefix in reversed(list(enumerate("kMGTPEZY", start=1))):
        if abs(value) >= (1 - 0.5 * 10**-digits) * 1000**power:
            return power, prefix
    return 0, ""


def short(value: float | None) -> str:
    """Three significant digits, and all those before the point."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def duration(hours: float) -> str:
    """Hours in the unit that suits them: 95 s, 12 min, 3.5 h."""
    seconds = 3600 * hours
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if hours < 2 else f"{hours:,.1f} h"


def p_in_words(p: float) -> str:
    """p after the letter, in a sentence: = 0.2, = 0.003, < 0.001."""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}" if p >= 0.01 else f"= {p:.1g}"


def _alone(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{abs(value) if value == 0 else value:g}"
    return _at(value, _place(value, ALONE))


def _place(value: float, digits: int) -> int:
    """Power of ten of the last of so many significant digits, once the value is rounded to them."""
    exact = Decimal(repr(float(value))).copy_abs()
    place = exact.adjusted() - digits + 1
    carried = exact.quantize(Decimal(1).scaleb(place), context=_EXACT)
    return carried.adjusted() - digits + 1  # 0.0996 is 0.10


def _at(value: float, place: int) -> str:
    exact = Decimal(repr(float(value))).quantize(Decimal(1).scaleb(place), context=_EXACT)
    text = f"{exact:f}"
    return text.removeprefix("-") if exact == 0 else text


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""With which a formula begins, to one spreadsheet or another (OWASP, CSV Injection)."""


def full(value: object) -> str:
    """A number in full. A text that a spreadsheet would take for a formula gets an apostrophe before it, which it shows as text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return repr(value) if isinstance(value, float) else str(value)


def sampler_words(config: Mapping[str, Any], form: str) -> str:
    """A sampler's name for people, and the number of its steps where a number chooses them: "DDIM (50 steps)".

    Args:
        config: Its node.
        form: The steps with "{}" for their number: " ({} steps)".
    """
    steps = (config.get("grid") or {}).get("steps")
    return config["_target_"].rpartition(".")[2] + ("" if steps is None else form.format(steps))
