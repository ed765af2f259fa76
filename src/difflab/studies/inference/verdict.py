"""Better, worse, equivalent or inconclusive: one rule, fixed before the numbers are seen.

For each row against the row it is compared with, on the seeds they share:

1. fewer than 2 shared seeds, or a value that is not finite                        -> inconclusive, with the reason
2. a margin is given and p of the two one-sided tests <= alpha                     -> equivalent, even if the difference is significant:
                                                                                      it is there, and too small to matter
3. p of the paired t test <= alpha                                                 -> better or worse, by the metric's direction
4. else                                                                            -> inconclusive

Both p are after Holm over the rows of the study, each kind of test in a family of its own: the chance of any false difference is at most
alpha, and that of any false equivalence, too. Intervals are those of the row by itself, not simultaneous: one that lacks 0 can
belong to an inconclusive row, and one within the margin to a row that is not called equivalent.
Student's t decides (the sign flip where all differences are equal: see `paired`); the sign flip stands beside it as a check that needs
no normal distribution, but has no power below six seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from difflab.metrics import MetricInfo
from difflab.studies.evidence import Arm, Evidence
from difflab.studies.inference.equivalence import Equivalence, equivalence
from difflab.studies.inference.holm import holm
from difflab.studies.inference.paired import PairedDifference, paired_difference
from difflab.studies.inference.wording import difference_in_words


class Outcome(StrEnum):
    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Comparison:
    """seed -> value of a row, and of the row `against` that it is compared with."""

    row: Mapping[int, float]
    other: Mapping[int, float]
    against: str


@dataclass(frozen=True)
class Verdict:
    """difference     row - other; None without a shared seed, or where a value is not finite
    p              of the difference, after Holm; None below 2 shared seeds
    equivalence    its own p and interval; None without a margin or a difference
    equivalence_p  after Holm
    rows           of the family that Holm has corrected for
    sentence       the verdict in plain words
    """

    outcome: Outcome
    metric: str
    against: str
    difference: PairedDifference | None
    p: float | None
    equivalence: Equivalence | None
    equivalence_p: float | None
    rows: int
    sentence: str


def verdicts(evidence: Evidence, metric: str) -> dict[str, Verdict]:
    """One for each row that is compared with another one, in the table's order."""
    study = evidence.study
    comparisons = {}
    for row in study.compared():
        arm = evidence.arms[row.name]
        comparisons[row.name] = Comparison(_values(arm, metric), _values(evidence.against(arm), metric), row.against)
    return judge(comparisons, metric, evidence.info(metric), study.alpha, study.margins.get(metric))


def judge(
    comparisons: Mapping[str, Comparison],
    metric: str,
    info: MetricInfo | None,
    alpha: float = 0.05,
    margin: float | None = None,
) -> dict[str, Verdict]:
    """Verdicts on the rows of one family.

    comparisons   row -> its values and the others'
    info          what the metric declares; None where there is no value yet
    """
    higher = None if info is None else info.higher_is_better
    if info is not None and higher is None:
        raise ValueError(f"{metric} is a deviation over parts, neither good nor bad: there is no verdict on it")
    differences = {row: _difference(one, alpha) for row, one in comparisons.items()}
    p = holm({row: None if d is None else d.p for row, d in differences.items()})
    tests = {row: None if d is None or margin is None else equivalence(d, margin) for row, d in differences.items()}
    equal = holm({row: None if test is None else test.p for row, test in tests.items()})
    found = {}
    for row, one in comparisons.items():
        difference = differences[row]
        outcome = _outcome(difference, p[row], equal[row], higher, alpha)
        decisive = equal[row] if outcome is Outcome.EQUIVALENT else p[row]
        if difference is None or decisive is None:
            sentence = _untested(one, difference)
        else:
            test = tests[row] if outcome is Outcome.EQUIVALENT else None
            sentence = difference_in_words(difference, outcome.value, decisive, len(comparisons), test)
        found[row] = Verdict(
            outcome, metric, one.against, difference, p[row], tests[row], equal[row], len(comparisons), sentence
        )
    return found


def _outcome(
    difference: PairedDifference | None, p: float | None, equal: float | None, higher: bool | None, alpha: float
) -> Outcome:
    if difference is None or p is None:
        return Outcome.INCONCLUSIVE
    if equal is not None and equal <= alpha:
        return Outcome.EQUIVALENT
    if p <= alpha:
        return Outcome.BETTER if (difference.mean > 0) == higher else Outcome.WORSE
    return Outcome.INCONCLUSIVE


def _difference(one: Comparison, alpha: float) -> PairedDifference | None:
    shared = [seed for seed in one.row if seed in one.other]
    if not shared or not _all_finite(one, shared):
        return None
    return paired_difference(one.row, one.other, alpha)


def _all_finite(one: Comparison, seeds: list[int]) -> bool:
    return all(math.isfinite(one.row[seed]) and math.isfinite(one.other[seed]) for seed in seeds)


def _untested(one: Comparison, difference: PairedDifference | None) -> str:
    if difference is not None:
        return (
            f"{difference.mean:+.3g} at the one seed shared with {one.against} (inconclusive): two are needed at least"
        )
    shared = [seed for seed in one.row if seed in one.other]
    if not shared:
        return f"no seed shared with {one.against} is finished (inconclusive)"
    bad = [str(seed) for seed in shared if not _all_finite(one, [seed])]
    return f"not a finite number at seed {', '.join(bad)} here or in {one.against} (inconclusive)"


def _values(arm: Arm, metric: str) -> dict[int, float]:
    for seed, replicate in arm.replicates.items():
        if metric not in replicate.measurements:
            there = ", ".join(replicate.measurements) or "nothing"
            raise ValueError(
                f"row {arm.row.name}, seed {seed}: {metric!r} is not among its results ({there}): measure it by evaluation.overrides"
            )
    return arm.values(metric)
