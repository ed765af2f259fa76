"""What evaluations had to say of their numbers besides them, as `notes` of results.json: told by status, table and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def notes_of(subject: Mapping[str, Any]) -> tuple[str, ...]:
    """The notes of an evaluation, by the `subject` of its results.json."""
    notes = subject.get("notes")
    return tuple(map(str, notes)) if isinstance(notes, list) else ()


def told_notes(of: Mapping[tuple[str, int], Sequence[str]]) -> list[str]:
    """A sentence for each note, with the rows and seeds that have it.

    Args:
        of: (row, seed) -> notes.
    """
    rows: dict[str, dict[str, list[int]]] = {}
    for (row, seed), notes in of.items():
        for note in notes:
            rows.setdefault(note, {}).setdefault(row, []).append(seed)
    return [f"{note.rstrip('.')} (evaluations of {_named(found)})." for note, found in rows.items()]


def _named(rows: Mapping[str, Sequence[int]]) -> str:
    return "; ".join(f"{row}, seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}" for row, seeds in rows.items())
