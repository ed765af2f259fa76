"""Marks at numbers, each with the sentence that explains it below the table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from difflab.studies.scale import Margin


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
