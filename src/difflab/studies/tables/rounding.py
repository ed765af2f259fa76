"""A number as its uncertainty allows: two significant digits of the half-width, the value to the same place.

13.4567 -/+ 0.1234 is 13.46 -/+ 0.12; 812.3 -/+ 123.4 is 810 -/+ 120. (Particle Data Group's practice, with two digits always.)
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Context, Decimal

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


def scaled(value: float) -> str:
    """Three significant digits with a prefix: 141 M."""
    for power, prefix in ((15, " P"), (12, " T"), (9, " G"), (6, " M"), (3, " k")):
        if abs(value) >= 0.9995 * 10**power:
            return f"{_at(value / 10**power, _place(value / 10**power, SCALED))}{prefix}"
    return f"{value:.3g}"


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
