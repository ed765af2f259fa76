"""Rows by their trainings: those that differ in how they draw alone share curves, grids and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from difflab.studies.evidence import Arm, Evidence
from difflab.studies.execution.states import CellState
from difflab.studies.report.palette import Look

NAMED = 4
"""Rows that a label names at most."""


@dataclass(frozen=True)
class Trained:
    """rows   by name; the first one gives look, facts and configuration
    label  of all of them
    runs   seed -> directory, those that have begun
    track  by whose weights the first row is judged; None as long as it is not
    """

    rows: tuple[str, ...]
    label: str
    look: Look
    arm: Arm
    runs: Mapping[int, Path]
    track: str | None


def trained(evidence: Evidence, states: Sequence[CellState], looks: Mapping[str, Look]) -> list[Trained]:
    """In the table's order."""
    runs: dict[str, Path] = {state.training: state.run for state in states}
    by_row: dict[str, dict[int, str]] = {row: {} for row in evidence.arms}
    for state in states:
        by_row[state.row][state.seed] = state.training
    groups: dict[tuple[tuple[int, str], ...], list[str]] = {}
    for row, trainings in by_row.items():
        groups.setdefault(tuple(trainings.items()), []).append(row)
    found = []
    for trainings, rows in groups.items():
        label = _joined([evidence.arms[row].row.label for row in rows])
        begun = {seed: runs[key] for seed, key in trainings if runs[key].exists()}
        arm = evidence.arms[rows[0]]
        track = _track(arm, evidence.study.evaluation.decides)
        found.append(Trained(tuple(rows), label, looks[rows[0]], arm, begun, track))
    return found


def _track(arm: Arm, decides: str) -> str | None:
    for replicate in arm.replicates.values():
        return str(replicate.measurements[decides].protocol.fields.get("track"))
    return None


def _joined(labels: Sequence[str]) -> str:
    more = f" · {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return " · ".join(labels[:NAMED]) + more
