"""A tested difference in one sentence: size, direction, interval, p, seeds.

1.20 lower (better), 95 % -1.60 .. -0.80, p = 0.003 after Holm over 3 rows, 5 seeds
"""

from __future__ import annotations

import math

from difflab.studies.inference.equivalence import Equivalence
from difflab.studies.inference.paired import PairedDifference


def difference_in_words(
    difference: PairedDifference, outcome: str, p: float, rows: int, test: Equivalence | None = None
) -> str:
    """The sentence.

    p      that decided, after Holm over the rows
    test   of equivalence, if it decided; its interval of level 1 - 2 alpha is told then
    """
    interval = difference.interval if test is None else test.interval
    level = 1 - difference.alpha if test is None else 1 - 2 * difference.alpha
    low, high = interval if interval is not None else (-math.inf, math.inf)
    digits = _digits(difference.mean, high - low)
    size = f"{abs(difference.mean):.{digits}f}"
    way = "no difference" if difference.mean == 0 else f"{size} {'higher' if difference.mean > 0 else 'lower'}"
    parts = [f"{way} ({outcome})"]
    if test is not None:
        parts.append(f"within the margin of {test.margin:g}")
    if math.isfinite(low):
        parts.append(f"{100 * level:g} % {low:.{digits}f} .. {high:.{digits}f}")
    else:
        parts.append(f"no {100 * level:g} % interval from so few seeds that differ equally")
    holm = f" after Holm over {rows} rows" if rows > 1 else ""
    return ", ".join([*parts, f"p {p_in_words(p)}{holm}", f"{difference.n} seeds"])


def p_in_words(p: float) -> str:
    """= 0.003, < 0.001, = 0.2"""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}" if p >= 0.01 else f"= {p:.1g}"


def _digits(mean: float, width: float) -> int:
    """Behind the point: two digits of the interval's half width are told, or three of the mean."""
    scale, told = (width / 2, 2) if math.isfinite(width) and width > 0 else (abs(mean), 3)
    return 2 if scale == 0 else min(max(told - 1 - math.floor(math.log10(scale)), 0), 8)
