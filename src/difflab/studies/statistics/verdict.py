"""Better, worse, equivalent or inconclusive: one rule, fixed before the numbers are seen. docs/statistics.md has its error rates.

For each row against the row it is compared with, at the seeds that both have:

1. all runs of the row have failed                                  -> failed
2. a margin is given and p of the two one-sided tests <= alpha      -> equivalent, even if the difference is significant: it is
                                                                       there, and too small to matter
3. p of the typical seed <= alpha (`typical_seed`)                  -> better or worse, by the metric's direction
4. else                                                             -> inconclusive, with the reason if nothing was tested

Better and worse are said of a *typical seed*: the median of the paired difference is not 0. That a row is so *also on average*, where a
rare bad seed weighs as much as it is bad, is a second and harder claim (`skew_guard`). A metric that is declared to be a ratio is compared
on logarithms (`scale`).

All p are after Holm over the rows of the study, each kind of test in a family of its own: the chance of any false difference is at most
alpha, and so is that of any false equivalence. Intervals are those of the row by itself, not simultaneous: one that lacks 0 can belong to
an inconclusive row, and one within the margin to a row that is not called equivalent.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from difflab.metrics import MetricInfo
from difflab.studies.evidence import Arm, Evidence
from difflab.studies.scale import RATIO, Margin, Scale, bounds_of, scale_of
from difflab.studies.statistics import sentences as wording
from difflab.studies.statistics.paired import Equivalence, PairedDifference, equivalence, paired_difference
from difflab.studies.statistics.typical_seed import SHARE, Tally, TypicalSeed, holm, skew_guard, tally, typical_seed

RULE = "the typical seed (rule 2)"
"""By which verdicts are given. Rule 1 asked t alone, on raw differences, and left failed runs out."""


class Outcome(StrEnum):
    """What a verdict can be."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"
    INTERIM = "interim"


@dataclass(frozen=True)
class Pair:
    """A row and the row that it is compared with.

    Attributes:
        row: Seed -> value; not finite where the run has failed.
        other: The same of the row `against`.
        against: The name of the other row.
    """

    row: Mapping[int, float]
    other: Mapping[int, float]
    against: str


@dataclass(frozen=True)
class Verdict:
    """What is claimed of a row.

    Attributes:
        difference: Row - other, at the seeds at which both have a number; None if there is none.
        tally: Who was better at which seed, failed runs among them; None as long as the study is not finished.
        p: Of the typical seed, after Holm; None if it was not tested.
        by_signs: Whether this p is that of the sign test.
        average_p: Of the mean, after Holm; None if it was not tested.
        on_average: Whether the outcome also holds on average.
        equivalence: Its own p and interval; None without a margin or a difference.
        equivalence_p: After Holm.
        spreads: Of the row and of the other at their common seeds: standard deviations, or coefficients of variation in per cent where the
            metric is a ratio; None below two seeds.
        worst: The seed at which the row does worst against the other, with the difference as it is told; None without a difference.
        rows: Of the family that Holm has corrected for.
        sentence: The verdict in plain words.
    """

    outcome: Outcome
    metric: str
    against: str
    difference: PairedDifference | None
    tally: Tally | None
    p: float | None
    by_signs: bool
    average_p: float | None
    on_average: bool
    equivalence: Equivalence | None
    equivalence_p: float | None
    spreads: tuple[float, float] | None
    worst: tuple[int, float] | None
    rows: int
    sentence: str


def verdicts(evidence: Evidence, metric: str) -> dict[str, Verdict]:
    """One for each row that is compared with another one, in the table's order; "interim" before all planned runs have ended."""
    study = evidence.study
    comparisons = {}
    for row in study.compared():
        arm = evidence.arms[row.name]
        comparisons[row.name] = Pair(_values(arm, metric), _values(evidence.against(arm), metric), row.against)
    info, margin = evidence.info(metric), study.margins.get(metric)
    tested = {study.baseline, *comparisons, *(one.against for one in comparisons.values())}
    if any(evidence.arms[name].missing for name in tested):
        return interim(comparisons, metric, info, len(study.seeds), study.alpha)
    return judge(comparisons, metric, info, study.alpha, margin)


def judge(
    comparisons: Mapping[str, Pair],
    metric: str,
    info: MetricInfo | None,
    alpha: float = 0.05,
    margin: Margin | None = None,
) -> dict[str, Verdict]:
    """Verdicts on the rows of one family.

    Args:
        comparisons: Row -> its values and the others'.
        metric: Its name, for sentences.
        info: What it declares; None where no run has a number.
        alpha: The level.
        margin: The difference that is of no interest.
    """
    higher, scale = _direction(metric, info), scale_of(info)
    if margin is not None and margin.scale is RATIO and scale is not RATIO:
        raise ValueError(
            f"margins.{metric} = {margin}: {metric} is not compared as a ratio: give a margin in its own unit"
        )
    counted = {row: tally(one.row, one.other, higher) for row, one in comparisons.items()}
    found = {row: _difference(one, alpha, scale, info) for row, one in comparisons.items()}
    off = {row: _off_scale(one, scale) for row, one in comparisons.items()}
    typical = {
        row: TypicalSeed(None, None, False) if off[row] else typical_seed(found[row], counted[row], higher, alpha)
        for row in comparisons
    }
    p = holm({row: one.p for row, one in typical.items()})
    guarded = skew_guard({row: d for row, d in found.items() if d is not None})
    average = holm({row: guarded.get(row) if _all_ran(counted[row]) else None for row in comparisons})
    tests = {
        row: None if margin is None or off[row] else _equivalence(one, alpha, margin)
        for row, one in comparisons.items()
    }
    equal = holm({row: _p_equal(test, counted[row]) for row, test in tests.items()})
    answers = {}
    for row, one in comparisons.items():
        outcome = _outcome(counted[row], typical[row], p[row], equal[row], alpha)
        claimed, on_average = outcome in (Outcome.BETTER, Outcome.WORSE), average[row]
        verdict = Verdict(
            outcome=outcome,
            metric=metric,
            against=one.against,
            difference=found[row],
            tally=counted[row],
            p=p[row],
            by_signs=typical[row].by_signs,
            average_p=on_average,
            on_average=claimed and on_average is not None and on_average <= SHARE * alpha,
            equivalence=tests[row],
            equivalence_p=equal[row],
            spreads=_spreads(one, scale),
            worst=_worst(found[row], higher),
            rows=len(comparisons),
            sentence="",
        )
        sentence = wording.off_scale(one, metric, off[row]) if off[row] else wording.sentence(verdict)
        answers[row] = dataclasses.replace(verdict, sentence=sentence)
    return answers


def interim(
    comparisons: Mapping[str, Pair], metric: str, info: MetricInfo | None, planned: int, alpha: float = 0.05
) -> dict[str, Verdict]:
    """What is said before all planned runs have ended: how many there are.

    A look before the last seed, with the right to stop, would find something in 16 to 23 % of studies in which there is nothing.

    Args:
        comparisons: Row -> its values so far and the others'.
        metric: Its name.
        info: What it declares; None where no run has a number.
        planned: Seeds of the study.
        alpha: 1 - level of the intervals.
    """
    higher, scale, answers = _direction(metric, info), scale_of(info), {}
    for row, one in comparisons.items():
        there = len([seed for seed in one.row if seed in one.other])
        sentence = f"interim: {there} of {planned} seeds; no verdict before all of the study's runs have ended"
        difference = _difference(one, alpha, scale, info)
        answers[row] = Verdict(
            outcome=Outcome.INTERIM,
            metric=metric,
            against=one.against,
            difference=difference,
            tally=None,
            p=None,
            by_signs=False,
            average_p=None,
            on_average=False,
            equivalence=None,
            equivalence_p=None,
            spreads=_spreads(one, scale),
            worst=_worst(difference, higher),
            rows=len(comparisons),
            sentence=sentence,
        )
    return answers


def _outcome(counted: Tally, typical: TypicalSeed, p: float | None, equal: float | None, alpha: float) -> Outcome:
    if counted.failed and len(counted.failed) == len({*counted.wins, *counted.losses, *counted.ties, *counted.failed}):
        return Outcome.FAILED
    if equal is not None and equal <= alpha:
        return Outcome.EQUIVALENT
    if p is not None and p <= alpha and typical.better is not None:
        return Outcome.BETTER if typical.better else Outcome.WORSE
    return Outcome.INCONCLUSIVE


def _direction(metric: str, info: MetricInfo | None) -> bool:
    if info is None:
        return False  # nothing has a number
    if info.higher_is_better is None:
        raise ValueError(f"{metric} is neither good nor bad, as a deviation over parts: there is no verdict on it")
    return info.higher_is_better


def _difference(one: Pair, alpha: float, scale: Scale, info: MetricInfo | None = None) -> PairedDifference | None:
    """Where both have a number; None if they nowhere do, or if one is not on the scale."""
    shared = [seed for seed in one.row if seed in one.other and _finite(one, seed)]
    if not shared or _off_scale(one, scale):
        return None
    mine, other = ({s: side[s] for s in shared} for side in (one.row, one.other))
    return paired_difference(mine, other, alpha, scale, bounds_of(info, scale))


def _equivalence(one: Pair, alpha: float, margin: Margin) -> Equivalence | None:
    difference = _difference(one, alpha, margin.scale)
    return None if difference is None else equivalence(difference, margin)


def _p_equal(test: Equivalence | None, counted: Tally) -> float | None:
    """A run that failed lies outside of every margin."""
    if test is None or test.p is None:
        return None
    return test.p if _all_ran(counted) else 1.0


def _all_ran(counted: Tally) -> bool:
    return set(counted.failed) == set(counted.other_failed)


def _off_scale(one: Pair, scale: Scale) -> list[tuple[bool, int, float]]:
    """(whether it is the row's, seed, value) of the numbers that have no logarithm."""
    shared = [seed for seed in one.row if seed in one.other and _finite(one, seed)]
    sides = ((True, one.row), (False, one.other))
    return [(mine, s, values[s]) for mine, values in sides for s in shared if not scale.has(values[s])]


def _spreads(one: Pair, scale: Scale) -> tuple[float, float] | None:
    shared = [seed for seed in one.row if seed in one.other and _finite(one, seed)]
    if len(shared) < 2 or _off_scale(one, scale):
        return None
    return scale.spread_of([one.row[s] for s in shared]), scale.spread_of([one.other[s] for s in shared])


def _worst(difference: PairedDifference | None, higher_is_better: bool) -> tuple[int, float] | None:
    if difference is None:
        return None
    told = difference.by_seed
    seed = (min if higher_is_better else max)(told, key=lambda one: told[one])
    return seed, told[seed]


def _finite(one: Pair, seed: int) -> bool:
    return math.isfinite(one.row[seed]) and math.isfinite(one.other[seed])


def _values(arm: Arm, metric: str) -> dict[int, float]:
    """Seed -> value; not a number where the run has diverged."""
    for seed, replicate in arm.replicates.items():
        if metric not in replicate.measurements:
            there = ", ".join(replicate.measurements) or "nothing"
            raise ValueError(
                f"row {arm.row.name}, seed {seed}: {metric!r} is not among its results ({there}): measure it by evaluation.overrides"
            )
    return arm.values(metric) | dict.fromkeys(arm.diverged, math.nan)
