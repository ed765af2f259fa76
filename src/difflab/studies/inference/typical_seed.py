"""Is a row better at a typical seed? The p of one row before Holm, with seeds at which a run has failed.

H0: the median of the paired difference is 0, P(row beats the other at a seed) = 1/2

1. All runs have a number          Student's t of the differences. Beyond ten seeds the sign test is asked besides (p <= alpha): with
                                   that many, t sees the mean of skewed differences rather than the typical seed.
2. A run has failed                It is no missing value: it failed because it was bad. With a row's worst seed of five left out, 5.5 % of
   (diverged, or no finite number) rows that do nothing are "better", where 2.5 % are due. It counts as worse than any number: a loss of its
                                   arm in the exact sign test, which alone can still find this arm better. That the arm is *worse* may be
                                   found by t at the other seeds, from which its worst is missing already.
   Both arms at the same seed      The seed says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from difflab.studies.inference.paired import PairedDifference
from difflab.studies.inference.sign_flip import sign_test

SIGNS_BEYOND = 10
"""Seeds beyond which the sign test is asked besides t."""


@dataclass(frozen=True)
class Tally:
    """Seeds by who was better.

    Attributes:
        wins: The row was better, or the other has failed.
        losses: The other was better, or the row has failed.
        ties: Equal numbers.
        failed: Seeds at which the row has failed.
        other_failed: Seeds at which the other has failed.
    """

    wins: tuple[int, ...]
    losses: tuple[int, ...]
    ties: tuple[int, ...]
    failed: tuple[int, ...]
    other_failed: tuple[int, ...]

    @property
    def n(self) -> int:
        """Seeds that say something."""
        return len(self.wins) + len(self.losses) + len(self.ties)

    @property
    def p(self) -> float:
        """Of the sign test, two-sided."""
        return sign_test(len(self.wins), len(self.losses))


@dataclass(frozen=True)
class TypicalSeed:
    """What the test found.

    Attributes:
        p: Two-sided, before Holm; None where nothing can be tested.
        better: The side on which the row is; None if on neither.
        by_signs: Whether the sign test has the last word, and not t.
    """

    p: float | None
    better: bool | None
    by_signs: bool


def tally(row: Mapping[int, float], other: Mapping[int, float], higher_is_better: bool) -> Tally:
    """Compares two arms seed by seed.

    Args:
        row: Seed -> value, not finite where the run has failed.
        other: The same of the arm that it is compared with; seeds of one arm alone are left out.
        higher_is_better: The metric's direction.
    """
    seeds = [seed for seed in row if seed in other]
    sign = 1 if higher_is_better else -1
    wins, losses, ties = list[int](), list[int](), list[int]()
    for seed in seeds:
        mine, theirs = (sign * v[seed] if math.isfinite(v[seed]) else -math.inf for v in (row, other))
        if max(mine, theirs) > -math.inf:
            (wins if mine > theirs else losses if mine < theirs else ties).append(seed)
    failed, other_failed = (tuple(s for s in seeds if not math.isfinite(v[s])) for v in (row, other))
    return Tally(tuple(wins), tuple(losses), tuple(ties), failed, other_failed)


def typical_seed(
    difference: PairedDifference | None, counted: Tally, higher_is_better: bool, alpha: float
) -> TypicalSeed:
    """Tests the typical seed.

    Args:
        difference: Of the seeds at which both arms have a number; None if there is none.
        counted: All seeds.
        higher_is_better: The metric's direction.
        alpha: The level at which the sign test is asked beyond ten seeds.
    """
    wins, losses = len(counted.wins), len(counted.losses)
    by_signs = None if wins == losses else wins > losses
    by_mean = None if difference is None or difference.mean == 0 else (difference.mean > 0) == higher_is_better
    p = None if difference is None else difference.p
    if _may_decide(counted, by_mean) and p is not None:
        if counted.n > SIGNS_BEYOND and counted.p > max(p, alpha):
            return TypicalSeed(counted.p, by_mean, by_signs=True)
        return TypicalSeed(p, by_mean, by_signs=False)
    failed = set(counted.failed) ^ set(counted.other_failed)
    return (
        TypicalSeed(counted.p, by_signs, by_signs=True)
        if failed and counted.n > 1
        else TypicalSeed(None, by_signs, False)
    )


def _may_decide(counted: Tally, better: bool | None) -> bool:
    """Whether t may: a failed run is missing from it, which must not have helped the arm that it finds better."""
    failed, other_failed = set(counted.failed), set(counted.other_failed)
    return not (failed - other_failed and better is not False) and not (other_failed - failed and better is not True)
