"""What difference could these seeds see, and how many seeds does a difference need?

How much paired differences scatter, from what has been run: the input of a power calculation.

From rows with two or more pairs: their variances pooled, sd^2 = sum_r (n_r - 1) s_r^2 / sum_r (n_r - 1). Without pairs: sqrt(2) times the
scatter of the baseline over its seeds, as if the other arm scattered as much and pairing bought nothing; pairs are likely to do better.

A metric that is a ratio scatters on logarithms, as it is compared: sd is then told in per cent.

A pilot of few seeds knows its sd badly; the chi-square interval says how badly: three pairs leave 0.52 sd .. 6.3 sd.

What difference could these seeds see, and how many seeds does a difference need?

power(delta, n) = P(t > t_{1 - a/2, n-1})        t noncentral, n - 1 degrees of freedom, noncentrality sqrt(n) delta / sd
                                                 a = alpha, or alpha / m: what the strictest of Holm's m steps asks

Beyond ten seeds a verdict asks the sign test besides (`typical_seed`); power is then the smaller one of both, which is within a point of
their joint power where differences are normal, and falls from ten seeds to eleven:

signs(delta, n) = P(K >= k),  K ~ Binomial(n, Phi(delta / sd)),  k the fewest wins with p <= alpha

This is a two-sided test that finds the difference on the side where it is; the other side (a significant difference of the wrong sign) is
an error and no success. It is also the part of a two-sided power that can be computed: the other tail is nan for large noncentralities, on
which the solver of statsmodels fails.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, stdtrit
from scipy.stats import binom, chi2, nct

from difflab.studies.evidence import Evidence
from difflab.studies.scale import DIFFERENCE, Margin, Scale, scale_of
from difflab.studies.statistics.paired import paired_difference
from difflab.studies.statistics.typical_seed import SIGNS_BEYOND


@dataclass(frozen=True)
class Pilot:
    """What is known of the scatter.

    Attributes:
        sd: Of paired differences, on the scale.
        freedom: Degrees of freedom behind it; None for a number that somebody has given.
        source: In words.
        scale: On which differences are taken.
        level: The baseline's mean, which turns a difference in the metric's unit into a ratio; None if it is not known.
    """

    sd: float
    freedom: int | None
    source: str
    scale: Scale = DIFFERENCE
    level: float | None = None

    def interval(self, alpha: float = 0.05) -> tuple[float, float] | None:
        """Of sd, of level 1 - alpha, where differences are normal; None for one that was given."""
        if self.freedom is None:
            return None
        low, high = chi2.ppf([alpha / 2, 1 - alpha / 2], self.freedom)
        return self.sd * math.sqrt(self.freedom / high), self.sd * math.sqrt(self.freedom / low)


def pilot_of_pairs(rows: Sequence[Sequence[float]], scale: Scale = DIFFERENCE) -> Pilot | None:
    """From the paired differences of one or more rows; None if they do not scatter or no row has two."""
    usable = [np.asarray(row, float) for row in rows if len(row) > 1]
    freedom = sum(row.size - 1 for row in usable)
    pairs = " + ".join(str(row.size) for row in usable)
    squares = sum(float(((row - row.mean()) ** 2).sum()) for row in usable)
    return _pilot(squares, freedom, f"{pairs} paired differences", scale)


def pilot_of_seeds(values: Sequence[float], scale: Scale = DIFFERENCE) -> Pilot | None:
    """From one arm's values over its seeds; None if they do not scatter or there is one."""
    y = np.array([scale.inner(value) for value in values], float)
    source = f"{y.size} seeds of the baseline, times sqrt(2): no pairs yet, and none of pairing's gain"
    return _pilot(2 * float(((y - y.mean()) ** 2).sum()) if y.size else 0.0, y.size - 1, source, scale)


def pilot(evidence: Evidence, metric: str) -> Pilot | None:
    """The best that a study's finished runs give: pairs of all rows together, else the baseline's seeds, else None."""
    scale = scale_of(evidence.info(metric))
    baseline = _usable(evidence.arms[evidence.study.baseline].values(metric), scale)
    found = pilot_of_pairs(list(_pairs(evidence, metric, scale).values()), scale)
    found = found or pilot_of_seeds(list(baseline.values()), scale)
    return found and replace(found, level=fmean(baseline.values()) if baseline else None)


def pilots(evidence: Evidence, metric: str) -> dict[str, Pilot]:
    """row -> what its own pairs tell; rows scatter differently. Rows without two pairs that scatter are absent."""
    scale = scale_of(evidence.info(metric))
    found = {row: pilot_of_pairs([pairs], scale) for row, pairs in _pairs(evidence, metric, scale).items()}
    return {row: one for row, one in found.items() if one is not None}


def _pairs(evidence: Evidence, metric: str, scale: Scale) -> dict[str, list[float]]:
    """row -> its paired differences, where they scatter."""
    rows = {}
    for row in evidence.study.compared():
        arm = evidence.arms[row.name]
        a, b = _usable(arm.values(metric), scale), _usable(evidence.against(arm).values(metric), scale)
        if len(a.keys() & b.keys()) > 1:
            found = paired_difference(a, b, scale=scale)
            rows |= {row.name: list(found.differences.values())} if found.sd else {}
    return rows


def _pilot(squares: float, freedom: int, source: str, scale: Scale) -> Pilot | None:
    return Pilot(math.sqrt(squares / freedom), freedom, source, scale) if freedom > 0 and squares > 0 else None


def _usable(values: dict[int, float], scale: Scale) -> dict[int, float]:
    return {seed: value for seed, value in values.items() if math.isfinite(value) and scale.has(value)}


MOST_SEEDS = 10_000


def power(difference: float, sd: float, seeds: int, alpha: float = 0.05, rows: int = 1) -> float:
    """P(a true difference is found at a typical seed), by the rule of verdicts among m = rows.

    Args:
        difference: On the scale of sd.
        sd: Of the paired differences.
        seeds: Of the study.
        alpha: The level.
        rows: Of the family that Holm corrects for.
    """
    _check(seeds, alpha, rows)
    if not sd > 0:
        raise ValueError(f"sd = {sd}: a power needs the scatter of differences, above 0")
    effect = abs(difference) / sd
    found = _power(effect, seeds, alpha / rows)
    return min(found, float(_power_of_signs(effect, np.array([seeds]), alpha)[0])) if seeds > SIGNS_BEYOND else found


def smallest_difference(pilot: Pilot, seeds: int, alpha: float = 0.05, rows: int = 1, goal: float = 0.8) -> float:
    """The smallest difference, on the pilot's scale, that is found with probability `goal`."""
    _check(seeds, alpha, rows)
    _check_goal(goal, alpha)
    effect = _smallest_effect(seeds, alpha / rows, goal)
    if seeds > SIGNS_BEYOND and _power_of_signs(effect, np.array([seeds]), alpha)[0] < goal:
        high = 2 * effect
        while _power_of_signs(high, np.array([seeds]), alpha)[0] < goal:
            high *= 2
        effect = float(brentq(lambda e: _power_of_signs(e, np.array([seeds]), alpha)[0] - goal, effect, high))  # type: ignore[arg-type]
    return pilot.sd * effect


def seeds_needed(pilot: Pilot, difference: float, alpha: float = 0.05, rows: int = 1, goal: float = 0.8) -> int | None:
    """The fewest seeds with which `difference`, on the pilot's scale, is found with probability `goal`; None if more than 10,000."""
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
    if high <= SIGNS_BEYOND:
        return high
    seeds = np.arange(high, MOST_SEEDS + 1)
    reached = np.flatnonzero(_power_of_signs(effect, seeds, alpha) >= goal)
    return int(seeds[reached[0]]) if reached.size else None


def power_sentence(pilot: Pilot, seeds: int, alpha: float, rows: int, wanted: Margin | None = None) -> str:
    """The power line of a plan.

    Args:
        pilot: What is known of the scatter.
        seeds: Of the study.
        alpha: The level.
        rows: Of the family that Holm corrects for.
        wanted: A difference of interest, as the margin, if there is one.
    """
    interval = pilot.interval()
    spread = pilot.source
    if interval is not None:
        spread = f"95 % {_told(pilot, interval[0])} .. {_told(pilot, interval[1])}; from {pilot.source}"
    words = f"Paired differences scatter by {_told(pilot, pilot.sd)} ({spread}). "
    if seeds < 2:
        words += "One seed shows no difference"
    else:
        shown = _told(pilot, smallest_difference(pilot, seeds, alpha))
        words += f"{seeds} seeds show a difference of {shown} at a typical seed in 80 % of studies"
        if rows > 1:
            words += f", of {_told(pilot, smallest_difference(pilot, seeds, alpha, rows))} after Holm over {rows} rows"
    if wanted is None:
        return words + "."
    difference = _on_scale(pilot, wanted)
    if difference is None:
        return f"{words}; whether they show {wanted} is not known before the baseline has a number."
    needed = seeds_needed(pilot, difference, alpha, rows)
    corrected = " after Holm" if rows > 1 else ""
    same = "" if wanted.scale is pilot.scale else f" ({_told(pilot, difference)} of the baseline's {pilot.level:.4g})"
    return f"{words}; a difference of {wanted}{same} needs {'more than 10,000' if needed is None else needed} seeds{corrected}."


def power_by_row(pilots: Mapping[str, Pilot], seeds: int, alpha: float, rows: int) -> str:
    """What difference each row would show, by its own scatter; "" where there is one row, or one seed."""
    if len(pilots) < 2 or seeds < 2:
        return ""
    shown = [
        f"{row} {_told(one, smallest_difference(one, seeds, alpha, rows))} (scatter {_told(one, one.sd)})"
        for row, one in list(pilots.items())[:12]
    ]
    more = f" and {len(pilots) - 12} more" if len(pilots) > 12 else ""
    return f"Each row by itself, after Holm: {', '.join(shown)}{more}."


def _told(pilot: Pilot, difference: float) -> str:
    return f"{pilot.scale.told(difference):.3g}{pilot.scale.unit}"


def _on_scale(pilot: Pilot, wanted: Margin) -> float | None:
    """A difference of interest on the pilot's scale; None where the baseline's level is needed for it and not known."""
    if wanted.scale is pilot.scale:
        return wanted.reach
    if pilot.level is None:
        return None
    return abs(
        pilot.scale.inner(pilot.level + wanted.scale.raw(wanted.amount, pilot.level)) - pilot.scale.inner(pilot.level)
    )


def _power_of_signs(effect: float, seeds: np.ndarray, alpha: float) -> np.ndarray:
    """Power of the sign test of normal differences, at each number of seeds."""
    most_losses = binom.ppf(alpha / 2, seeds, 0.5)
    most_losses = np.where(2 * binom.cdf(most_losses, seeds, 0.5) <= alpha, most_losses, most_losses - 1)
    return binom.cdf(most_losses, seeds, ndtr(-effect))


def _power(effect: float, seeds: int, alpha: float) -> float:
    return float(nct.sf(stdtrit(seeds - 1, 1 - alpha / 2), seeds - 1, math.sqrt(seeds) * effect))


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
