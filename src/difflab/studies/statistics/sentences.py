"""What groups of seeds say, in sentences.

By how much two groups of runs differ in a metric, with the best interval that there are numbers for.

- With two seeds or more in common: paired, Student's t of the differences at each seed, which speaks of a typical seed.
- Else, with two runs each: Welch's t of two independent means.
- Else: sqrt(e1^2 + e2^2) of the two standard errors of sampling; another training seed could give another answer.

A metric that is declared to be a ratio is compared on logarithms, as in a study, and its difference is told in per cent.

A verdict in one sentence: what is claimed, by how much, how surely, at how many seeds, and what else a reader has to know.

better: 8 % lower at a typical seed, 95 % -12 .. -4 %, paired t p = 0.03 after Holm over 3 rows, better at 5 of 5 seeds; also on average
(skew guard p = 0.02);
CV 11 % (base 12 %), worst seed 3: -2 %
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm, ttest_ind

from difflab.evaluation import Measurement
from difflab.formatting import p_in_words
from difflab.studies.scale import RATIO, Scale, bounds_of, scale_of
from difflab.studies.statistics.paired import PairedDifference, half_width, paired_difference

if TYPE_CHECKING:
    from difflab.studies.statistics.typical_seed import Tally
    from difflab.studies.statistics.verdict import Pair, Verdict


@dataclass(frozen=True)
class GroupDifference:
    """By how much two groups differ, as people are told it: in the metric's unit, or in per cent of a ratio.

    Attributes:
        value: Second - first.
        limits: Of the interval; None where nothing is known of it.
        p: Of no difference, two-sided; None likewise.
        basis: What the interval is of, in words.
        scale: On which the difference was taken.
    """

    value: float
    limits: tuple[float, float] | None
    p: float | None
    basis: str
    scale: Scale

    @property
    def half_width(self) -> float | None:
        """The longer side of the interval; None without one."""
        return half_width(self.value, self.limits)


def group_difference(
    first: Mapping[int, Measurement], second: Mapping[int, Measurement], alpha: float = 0.05
) -> GroupDifference:
    """Compares two groups of runs.

    Args:
        first: Training seed -> number.
        second: Training seed -> number.
        alpha: 1 - level of the interval.
    """
    measured = [*first.values(), *second.values()]
    scale = scale_of(measured[0].info)
    off = sorted({one.value for one in measured if not (math.isfinite(one.value) and scale.has(one.value))})
    if off:
        what = "no number above 0, as a ratio needs it" if scale is RATIO else "no number"
        return GroupDifference(math.nan, None, None, f"{', '.join(f'{value:g}' for value in off)} is {what}", scale)
    shared = [seed for seed in first if seed in second]
    if len(shared) >= 2:
        ours, theirs = ({seed: side[seed].value for seed in shared} for side in (second, first))
        found = paired_difference(ours, theirs, alpha, scale, bounds_of(measured[0].info, scale))
        basis = f"a typical seed, paired over seeds {', '.join(map(str, shared))}"
        return GroupDifference(found.value, found.limits, found.p, basis, scale)
    if len(first) >= 2 and len(second) >= 2:
        return _independent(first, second, scale, alpha)
    seeds = (shared[0], shared[0]) if shared else (next(iter(first)), next(iter(second)))
    return _of_sampling(first[seeds[0]], second[seeds[1]], seeds, scale, alpha)


def _independent(
    first: Mapping[int, Measurement], second: Mapping[int, Measurement], scale: Scale, alpha: float
) -> GroupDifference:
    a, b = ([scale.inner(m.value) for m in side.values()] for side in (first, second))
    value = scale.told(float(np.mean(b) - np.mean(a)))
    basis = f"{len(a)} and {len(b)} seeds, none or one in common: independent means"
    if np.ptp(a) + np.ptp(b) == 0:
        return GroupDifference(value, None, None, f"{basis}, without scatter", scale)
    test = ttest_ind(b, a, equal_var=False)
    interval = test.confidence_interval(1 - alpha)  # type: ignore[attr-defined]
    limits = scale.told(float(interval.low)), scale.told(float(interval.high))
    return GroupDifference(value, limits, float(test.pvalue), basis, scale)  # type: ignore[attr-defined]


def _of_sampling(
    first: Measurement, second: Measurement, seeds: tuple[int, int], scale: Scale, alpha: float
) -> GroupDifference:
    difference = scale.inner(second.value) - scale.inner(first.value)
    value = scale.told(difference)
    runs = f"one run each (seed {seeds[0]})" if seeds[0] == seeds[1] else f"one run each (seeds {seeds[0]}, {seeds[1]})"
    if first.std_error is None or second.std_error is None:
        return GroupDifference(value, None, None, f"{runs}, no standard error known", scale)
    error = math.hypot(*(scale.error(one.std_error, one.value) for one in (first, second) if one.std_error is not None))
    reach = float(norm.ppf(1 - alpha / 2)) * error
    p = float(2 * norm.sf(abs(difference) / error)) if error else None
    basis = f"{runs}: sampling errors alone, another training seed is not in it"
    return GroupDifference(value, (scale.told(difference - reach), scale.told(difference + reach)), p, basis, scale)


WIDE = 1.5
"""Ratio of spreads from which on a claim about the mean is another one than that about the typical seed."""


def sentence(verdict: Verdict) -> str:
    """The sentence of a verdict."""
    counted, outcome = verdict.tally, verdict.outcome
    assert counted is not None, "an interim verdict has a sentence of its own"
    if outcome == "failed":
        runs = counted.failed
        return f"failed: {_all(runs)} diverged or gave no number (seed{_s(runs)} {_named(runs)})"
    if outcome == "equivalent":
        test, p = verdict.equivalence, verdict.equivalence_p
        assert test is not None
        assert p is not None
        size = _size(
            test.difference, test.interval, 1 - 2 * test.difference.alpha, f"within the margin of {test.margin}"
        )
        return _joined(verdict, counted, [size, f"two one-sided t {_p(p, verdict)}", _seeds(counted, None)], "")
    claimed = None if outcome == "inconclusive" else outcome == "better"
    difference = verdict.difference
    if verdict.p is None:
        return _untested(verdict, counted)
    size = (
        "no seed at which both have a number"
        if difference is None
        else _size(difference, difference.limits, 1 - difference.alpha)
    )
    flipped = difference is not None and difference.sd == 0
    by = "sign test" if verdict.by_signs else "sign flip" if flipped else "paired t"
    tested = [size, f"{by} {_p(verdict.p, verdict)}", _seeds(counted, claimed)]
    return _joined(verdict, counted, tested, "" if claimed is None else _average(verdict))


def off_scale(one: Pair, metric: str, found: Sequence[tuple[bool, int, float]]) -> str:
    """Why a metric that is a ratio has no verdict: the numbers that have no logarithm."""
    named = [f"{value:g} {'here' if mine else f'in {one.against}'} at seed {seed}" for mine, seed, value in found]
    return f"inconclusive: {metric} is compared as a ratio, which takes numbers above 0: {', '.join(named)}"


def _joined(verdict: Verdict, counted: Tally, tested: Sequence[str], average: str) -> str:
    parts = [f"{verdict.outcome}: {', '.join(tested)}", average, _failures(verdict, counted), _around(verdict)]
    return "; ".join(part for part in parts if part)


def _size(difference: PairedDifference, limits: tuple[float, float] | None, level: float, margin: str = "") -> str:
    low, high = limits if limits is not None else (-math.inf, math.inf)
    unit, value = difference.scale.unit, difference.value
    digits = _digits(value, high - low)
    way = f"{abs(value):.{digits}f}{unit} {'higher' if value > 0 else 'lower'}" if value else "no difference"
    parts = [f"{way} at {'a typical seed' if difference.n > 1 else 'the one seed'}", *([margin] if margin else [])]
    if math.isfinite(low) and math.isfinite(high):
        parts.append(f"{100 * level:g} % {low:.{digits}f} .. {high:.{digits}f}{unit}")
    else:
        parts.append(f"no {100 * level:g} % interval from so few seeds" + " that differ equally" * (difference.n > 1))
    return ", ".join(parts)


def _p(p: float, verdict: Verdict) -> str:
    return f"p {p_in_words(p)}" + (f" after Holm over {verdict.rows} rows" if verdict.rows > 1 else "")


def _seeds(counted: Tally, better: bool | None) -> str:
    """How many seeds agree with what is claimed; with nothing claimed, at how many the row was better."""
    agree = counted.losses if better is False else counted.wins
    return f"{'worse' if better is False else 'better'} at {len(agree)} of {counted.n} seeds"


def _average(verdict: Verdict) -> str:
    if verdict.average_p is None:
        return "not shown on average, which a failed run does not have"
    p = f"(skew guard p {p_in_words(verdict.average_p)})"
    if verdict.on_average:
        return f"also on average {p}"
    spread = ""
    if verdict.spreads is not None and min(verdict.spreads) > 0:
        ratio = verdict.spreads[0] / verdict.spreads[1]
        if not 1 / WIDE < ratio < WIDE:
            spread = f": spread {ratio:.2g} times that of {verdict.against}"
    return f"not shown on average {p}{spread}"


def _around(verdict: Verdict) -> str:
    """Both spreads, and the worst seed that has a number."""
    difference = verdict.difference
    if difference is None or verdict.spreads is None or verdict.worst is None:
        return ""
    scale = difference.scale
    mine, other = (f"{spread:.3g}{scale.unit}" for spread in verdict.spreads)
    seed, value = verdict.worst
    digits = _digits(value, 0.0) if not difference.half_width else _digits(value, 2 * difference.half_width)
    return f"{scale.spread} {mine} ({verdict.against} {other}), worst seed {seed}: {value:+.{digits}f}{scale.unit}"


def _failures(verdict: Verdict, counted: Tally) -> str:
    """Which runs have failed, and that they count."""
    both = set(counted.failed) & set(counted.other_failed)
    mine, theirs = ([s for s in seeds if s not in both] for seeds in (counted.failed, counted.other_failed))
    parts = [
        f"{who} diverged or gave no number at seed{_s(seeds)} {_named(seeds)}, {what}"
        for who, seeds, what in (
            ("it", mine, "counted as worse than any number"),
            (verdict.against, theirs, "counted as worse than any number"),
            ("both", sorted(both), "which says nothing"),
        )
        if seeds
    ]
    return "; ".join(parts)


def _untested(verdict: Verdict, counted: Tally) -> str:
    difference = verdict.difference
    if difference is not None:
        size = f"{difference.value:+.3g}{difference.scale.unit}"
        return f"inconclusive: {size} at the one seed shared with {verdict.against}: two are needed at least"
    if failures := _failures(verdict, counted):
        return f"inconclusive: {failures}"
    return f"inconclusive: no seed shared with {verdict.against} is finished"


def _all(runs: Sequence[int]) -> str:
    return f"all {len(runs)} runs" if len(runs) > 1 else "the run"


def _named(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _s(items: Sequence[int]) -> str:
    return "s" * (len(items) != 1)


def _digits(value: float, width: float) -> int:
    """Behind the point: two digits of the interval's half width are told, or three of the value."""
    scale, told = (width / 2, 2) if math.isfinite(width) and width > 0 else (abs(value), 3)
    return 2 if scale == 0 else min(max(told - 1 - math.floor(math.log10(scale)), 0), 8)
