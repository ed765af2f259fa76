"""The table of an ablation: each row's numbers as their uncertainty allows, and its difference to the row that it is compared with.

A number as its uncertainty allows: two significant digits of the half-width, the value to the same place.

13.4567 -/+ 0.1234 is 13.46 -/+ 0.12; 812.3 -/+ 123.4 is 810 -/+ 120. (Particle Data Group's practice, with two digits always.)

A row's number of one metric with its interval.

n seeds    mean -/+ t sd / sqrt(n)        n - 1 degrees of freedom: over trainings, the noise of sampling included
             cut at the bounds of the metric, where no mean can lie
one seed   value -/+ t * standard error of sampling: what other samples of the same training would give. It says nothing of other trainings

The table of an ablation: each row's numbers, and its difference to the row that it is compared with.

In the manner of "Diffusion Models Beat GANs", tables 1 to 3, where the first line is absolute and the others are differences; here both
stand side by side, with intervals, and with what was published.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal

import numpy as np

from difflab.evaluation import Target
from difflab.studies.evidence import Arm, Evidence
from difflab.studies.scale import Margin
from difflab.studies.spec import StudyError
from difflab.studies.statistics import Verdict, student

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


@dataclass(frozen=True)
class Mark:
    """symbol   one character; a letter is raised"""

    symbol: str
    meaning: str


ONE_SEED = Mark(
    "§",
    "one seed: the interval is of the expectation over other samples of as many images, not over other trainings",
)
UNTESTED = Mark("¶", "not tested: fewer than two seeds in common, or not all runs have ended")
FAILED = Mark("e", "over the seeds that have a number: the others have failed, which counts in the verdict")
SECONDARY = Mark("a", "published number, read in a source that quotes it")
UNVERIFIED = Mark("b", "published number, from memory and not verified")
MEASURED_DIFFERENTLY = Mark("c", "published under another protocol")
CITED = Mark("d", "cited: published elsewhere, from no run of this study, and part of no test")


def not_significant(alpha: float) -> Mark:
    return Mark("†", f"no difference shown at a typical seed, at {alpha:g} after Holm's correction")


def equivalent(margin: Margin, metric: str) -> Mark:
    own = "" if margin.scale.unit else f" in {metric}"
    return Mark("‡", f"equivalent: shown to lie within ± {margin}{own} at a typical seed")


def in_order(marks: Iterable[Mark]) -> list[Mark]:
    """Each once, signs before letters."""
    return sorted(dict.fromkeys(marks), key=lambda mark: "†‡§¶abcde".index(mark.symbol))


@dataclass(frozen=True)
class Estimate:
    """value     mean over the seeds
    low, high  of the interval; None where there is none
    seeds      how many; the interval of a single one is that of sampling
    """

    value: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def half_width(self) -> float | None:
        """The longer side, where the interval was cut at the end of what the metric can be."""
        if self.low is None or self.high is None:
            return None
        return max(self.high - self.value, self.value - self.low)


def estimate(arm: Arm, metric: str, alpha: float) -> Estimate | None:
    """Over the seeds that have a number; None for a row without one.

    alpha   1 - level of the interval
    """
    there = {seed: float(value) for seed, value in arm.values(metric).items() if math.isfinite(value)}
    values = list(there.values())
    if not values:
        return None
    if len(values) == 1:
        (only,) = there
        low, high = arm.replicates[only].measurements[metric].interval(1 - alpha) or (None, None)
        return Estimate(values[0], low, high, 1)
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    low, high = student.interval(mean, sd, len(values), alpha)
    info = arm.replicates[next(iter(there))].measurements[metric].info
    least, most = (-math.inf, math.inf) if info is None else info.bounds
    return Estimate(mean, max(least, float(low)), min(most, float(high)), len(values))


@dataclass(frozen=True)
class Line:
    """A row of the study.

    arm              what it is, and what was found of it
    estimates        metric -> its number; None without a finished seed
    verdict          on its difference to `against`; None for the baseline
    published        metric -> number of the source
    published_delta  metric -> the source's number less that of `against`, where both were published
    """

    arm: Arm
    estimates: Mapping[str, Estimate | None]
    verdict: Verdict | None
    published: Mapping[str, Target]
    published_delta: Mapping[str, float]


@dataclass(frozen=True)
class AblationTable:
    """lines   by row, in the study's order"""

    evidence: Evidence
    lines: Mapping[str, Line]


def ablation_table(evidence: Evidence, verdicts: Mapping[str, Verdict], allow_missing: bool = False) -> AblationTable:
    """verdicts        row -> on the deciding metric; of all rows but the baseline
    allow_missing   whether rows may lack seeds; they then say how many they have. A StudyError names them otherwise
    """
    study = evidence.study
    lacking = {name: arm.missing for name, arm in evidence.arms.items() if arm.missing}
    if lacking and not allow_missing:
        named = "; ".join(f"{name} (seed {', '.join(map(str, seeds))})" for name, seeds in lacking.items())
        raise StudyError(
            f"{study.name} lacks results of {named}: launch the study again, or take the table as it is with missing=allow"
        )
    lines = {}
    for name, arm in evidence.arms.items():
        is_baseline = name == study.baseline
        lines[name] = Line(
            arm=arm,
            estimates={metric: estimate(arm, metric, study.alpha) for metric in study.evaluation.metrics},
            verdict=None if is_baseline else verdicts[name],
            published=arm.published,
            published_delta={} if is_baseline else _published_delta(arm, evidence.against(arm)),
        )
    return AblationTable(evidence, lines)


def _published_delta(arm: Arm, against: Arm) -> dict[str, float]:
    """In decimals, as they are printed: 13.21 - 15.33 is -2.12."""
    return {
        metric: float(Decimal(repr(target.value)) - Decimal(repr(against.published[metric].value)))
        for metric, target in arm.published.items()
        if metric in against.published
    }
