"""The table of an ablation: each row's numbers as their uncertainty allows, and its difference to the row that it is compared with.

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
from decimal import Decimal

import numpy as np

from difflab.evaluation import Measurement, Target
from difflab.studies.evidence import Arm, Evidence
from difflab.studies.scale import Margin
from difflab.studies.spec import StudyError
from difflab.studies.statistics import Verdict
from difflab.studies.statistics.one_sample import student_interval
from difflab.studies.statistics.paired import half_width


@dataclass(frozen=True)
class Mark:
    """A sign beside a number, with its meaning.

    Attributes:
        symbol: One character; a letter is raised.
    """

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
    """A number with its interval.

    Attributes:
        value: Mean over the seeds.
        low: Of the interval; None where there is none.
        high: Likewise.
        seeds: How many; the interval of a single one is that of sampling.
    """

    value: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def half_width(self) -> float | None:
        """The longer side, where the interval was cut at the end of what the metric can be."""
        return half_width(self.value, None if self.low is None or self.high is None else (self.low, self.high))


def estimate(measured: Iterable[Measurement], alpha: float) -> Estimate | None:
    """The mean of a metric over seeds, with its interval; None where none of them has a number.

    Args:
        measured: One of each seed.
        alpha: 1 - level of the interval.
    """
    there = [one for one in measured if math.isfinite(one.value)]
    values = [float(one.value) for one in there]
    if not values:
        return None
    if len(values) == 1:
        low, high = there[0].interval(1 - alpha) or (None, None)
        return Estimate(values[0], low, high, 1)
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    low, high = student_interval(mean, sd, len(values), alpha)
    info = there[0].info
    least, most = (-math.inf, math.inf) if info is None else info.bounds
    return Estimate(mean, max(least, float(low)), min(most, float(high)), len(values))


@dataclass(frozen=True)
class Line:
    """A row of the study.

    Attributes:
        arm: What it is, and what was found of it.
        estimates: Metric -> its number; None without a finished seed.
        verdict: On its difference to `against`; None for the baseline.
        published: Metric -> number of the source.
        published_delta: Metric -> the source's number less that of `against`, where both were published.
    """

    arm: Arm
    estimates: Mapping[str, Estimate | None]
    verdict: Verdict | None
    published: Mapping[str, Target]
    published_delta: Mapping[str, float]


@dataclass(frozen=True)
class AblationTable:
    """A study's rows with their numbers.

    Attributes:
        lines: By row, in the study's order.
    """

    evidence: Evidence
    lines: Mapping[str, Line]


def ablation_table(evidence: Evidence, verdicts: Mapping[str, Verdict], allow_missing: bool = False) -> AblationTable:
    """The table of a study's evidence.

    Args:
        verdicts: Row -> on the deciding metric; of all rows but the baseline.
        allow_missing: Whether rows may lack seeds; they then say how many they have. A StudyError names them otherwise.
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
            estimates={metric: estimate(arm.measured(metric), study.alpha) for metric in study.evaluation.metrics},
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
