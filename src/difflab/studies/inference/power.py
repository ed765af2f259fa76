"""What difference could these seeds see, and how many seeds does a difference need?

power(delta, n) = P(t > t_{1 - a/2, n-1})        t noncentral, n - 1 degrees of freedom, noncentrality sqrt(n) delta / sd
                                                 a = alpha, or alpha / m: what the strictest of Holm's m steps asks

This is a two-sided test that finds the difference on the side where it is; the other side (a significant difference of the wrong sign) is
an error and no success. It is also the part of statsmodels' two-sided power that can be computed: its other tail is nan for large
noncentralities, on which its own solver fails.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from scipy.optimize import brentq
from scipy.special import stdtrit
from statsmodels.stats.power import TTestPower

from difflab.studies.inference.pilot import Pilot

MOST_SEEDS = 10_000


def power(difference: float, sd: float, seeds: int, alpha: float = 0.05, rows: int = 1) -> float:
    """P(a true difference is found), by a paired t test among m = rows.

    sd   of the paired differences
    """
    _check(seeds, alpha, rows)
    if not sd > 0:
        raise ValueError(f"sd = {sd}: a power needs the scatter of differences, above 0")
    return _power(abs(difference) / sd, seeds, alpha / rows)


def smallest_difference(pilot: Pilot, seeds: int, alpha: float = 0.05, rows: int = 1, goal: float = 0.8) -> float:
    """That is found with probability `goal`."""
    _check(seeds, alpha, rows)
    _check_goal(goal, alpha)
    return pilot.sd * _smallest_effect(seeds, alpha / rows, goal)


def seeds_needed(pilot: Pilot, difference: float, alpha: float = 0.05, rows: int = 1, goal: float = 0.8) -> int | None:
    """The fewest seeds with which `difference` is found with probability `goal`; None if more than 10,000."""
    _check(2, alpha, rows)
    _check_goal(goal, alpha)
    if not abs(difference) > 0:
        raise ValueError("no number of seeds sees a difference of 0: give the difference that is wanted")
    effect = abs(difference) / pilot.sd

    def enough(seeds: int) -> bool:
        return _smallest_effect(seeds, alpha / rows, goal) <= effect

    low, high = 1, 2  # low is too few; high doubles until it is enough
    while not enough(high):
        if high == MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def power_sentence(pilot: Pilot, seeds: int, alpha: float, rows: int, wanted: float | None = None) -> str:
    """The power line of a plan.

    wanted   a difference of interest (the margin, a published delta), if there is one
    """
    interval = pilot.interval()
    spread = pilot.source if interval is None else f"95 % {interval[0]:.3g} .. {interval[1]:.3g}; from {pilot.source}"
    words = f"Paired differences scatter by {pilot.sd:.3g} ({spread}). "
    if seeds < 2:
        words += "One seed shows no difference"
    else:
        words += f"{seeds} seeds show a difference of {smallest_difference(pilot, seeds, alpha):.3g} in 80 % of studies"
        if rows > 1:
            words += f", of {smallest_difference(pilot, seeds, alpha, rows):.3g} after Holm over {rows} rows"
    if wanted is None:
        return words + "."
    needed = seeds_needed(pilot, wanted, alpha, rows)
    corrected = " after Holm" if rows > 1 else ""
    return f"{words}; a difference of {abs(wanted):.3g} needs {'more than 10,000' if needed is None else needed} seeds{corrected}."


def power_by_row(pilots: Mapping[str, Pilot], seeds: int, alpha: float, rows: int) -> str:
    """What difference each row would show, by its own scatter; "" where there is one row, or one seed."""
    if len(pilots) < 2 or seeds < 2:
        return ""
    shown = [
        f"{row} {smallest_difference(one, seeds, alpha, rows):.3g} (scatter {one.sd:.3g})"
        for row, one in list(pilots.items())[:12]
    ]
    more = f" and {len(pilots) - 12} more" if len(pilots) > 12 else ""
    return f"Each row by itself, after Holm: {', '.join(shown)}{more}."


def _power(effect: float, seeds: int, alpha: float) -> float:
    return float(TTestPower().power(effect, seeds, alpha / 2, alternative="larger"))


def _smallest_effect(seeds: int, alpha: float, goal: float) -> float:
    """delta / sd; found by bracketing, since power rises with it."""
    high = float(stdtrit(seeds - 1, 1 - alpha / 2)) / math.sqrt(seeds)  # power is about a half here
    while _power(high, seeds, alpha) < goal:
        high *= 1.5
    return float(brentq(lambda effect: _power(effect, seeds, alpha) - goal, 0.0, high))  # type: ignore[arg-type]


def _check(seeds: int, alpha: float, rows: int) -> None:
    if seeds < 2:
        raise ValueError(f"{seeds} seed: a paired t test needs two seeds at least")
    if not 0 < alpha < 1 or rows < 1:
        raise ValueError(f"alpha = {alpha}, rows = {rows}: expected a level in (0, 1) and at least one row")


def _check_goal(goal: float, alpha: float) -> None:
    if not alpha < goal < 1:
        raise ValueError(f"goal = {goal}: expected a probability above alpha = {alpha} and below 1, such as 0.8")
