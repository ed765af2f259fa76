"""Results that are missing, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from difflab.studies.evidence import Evidence
from difflab.studies.execution.states import CellState


@dataclass(frozen=True)
class Unfinished:
    """detail   how far it is, or why it failed"""

    row: str
    label: str
    seed: int
    state: str
    detail: str


@dataclass(frozen=True)
class UnfinishedRow:
    """As "seed 1 failed, seed 2 training"."""

    label: str
    text: str


WORDS = {
    "done": "done since the results were read",
    "trained": "waits for its evaluation",
    "missing": "not begun",
}
"""Of states whose own word does not say it."""

NAMED = 4
"""So many seeds of a row are named; more are counted."""


def unfinished(evidence: Evidence, states: Sequence[CellState]) -> list[Unfinished]:
    """In the table's order."""
    of = {(state.row, state.seed): state for state in states}
    found = []
    for name, arm in evidence.arms.items():
        for seed in arm.missing:
            state = of.get((name, seed))
            word = "missing" if state is None else state.state
            detail = "" if state is None else _detail(state)
            found.append(Unfinished(name, arm.row.label, seed, WORDS.get(word, word), detail))
    return found


def by_row(found: Sequence[Unfinished]) -> list[UnfinishedRow]:
    rows: dict[str, list[Unfinished]] = {}
    for one in found:
        rows.setdefault(one.row, []).append(one)
    return [UnfinishedRow(seeds[0].label, _told(seeds)) for seeds in rows.values()]


def _told(seeds: Sequence[Unfinished]) -> str:
    if len(seeds) <= NAMED:
        return ", ".join(f"seed {one.seed} {one.state}" for one in seeds)
    return ", ".join(f"{count} seeds {state}" for state, count in Counter(one.state for one in seeds).items())


def _detail(state: CellState) -> str:
    parts = [f"step {state.step:,} of {state.steps:,}"] if 0 < state.step < state.steps else []
    return "; ".join([*parts, *(text for text in (state.where, state.error) if text)])
