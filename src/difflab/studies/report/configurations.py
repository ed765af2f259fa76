"""In what a row differs from the one that it is compared with: declared changes, what follows from them, and anything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from difflab.studies.confounds import IGNORED, changed_together, drawing
from difflab.studies.differences import differences, told
from difflab.studies.evidence import Arm, Evidence

DECLARED, FOLLOWS, UNDECLARED = "declared", "follows", "not declared"


@dataclass(frozen=True)
class Change:
    """before, after   in words
    why             declared, follows (computed from what is declared), or not declared
    """

    key: str
    before: str
    after: str
    why: str


@dataclass(frozen=True)
class RowChanges:
    """together   declared changes that come together, so that none of them can be given the credit; empty for one alone"""

    arm: Arm
    against: Arm
    changes: Sequence[Change]
    together: Sequence[str]


def configurations(evidence: Evidence) -> list[RowChanges]:
    """Of every row that is compared with another one."""
    found = []
    for row in evidence.study.compared():
        arm = evidence.arms[row.name]
        against = evidence.against(arm)
        differing = differences(against.config, arm.config, IGNORED | {"seed"})
        differing += differences(drawing(against.row.draw), drawing(arm.row.draw), frozenset())
        changes = [Change(one.key, told(one.before), told(one.after), _why(arm, one.key)) for one in differing]
        found.append(RowChanges(arm, against, changes, changed_together(row)))
    return found


def _why(arm: Arm, key: str) -> str:
    if _is_below(key, arm.row.change):
        return DECLARED
    return FOLLOWS if _is_below(key, arm.follows) else UNDECLARED


def _is_below(key: str, declared: Sequence[str]) -> bool:
    return any(key == one or key.startswith((f"{one}.", f"{one}[")) for one in declared)
