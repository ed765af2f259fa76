"""What is told of runs beside their numbers: what they took (starts and how they ended, time, machines), and notes of their evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from difflab.runs import RunDirectory, RunLock

NO_END, AT_WORK = "killed", "running"
"""Of a start that wrote down no end."""


@dataclass(frozen=True)
class Cost:
    """From provenance.json.

    starts       how often it was started
    outcomes     of each start: complete, interrupted, diverged, went back, failed, killed (no end on record), running
    preemptions  starts that were interrupted or killed and followed by another one
    seconds      of all starts that have an end, evaluations during training included
    untimed      starts without an end: their time is in no sum
    hosts        on which it ran
    gpus         name -> how many the last start saw on its first host; empty on a CPU
    commits      of difflab, in order, each once
    code         the same for people: of a start without a commit, as of an installed package, its version
    packages     name -> version, of the last start
    data_images  of the data set; None where the last start did not write it down
    """

    starts: int
    outcomes: tuple[str, ...]
    preemptions: int
    seconds: float
    untimed: int
    hosts: tuple[str, ...]
    gpus: dict[str, int]
    commits: tuple[str, ...]
    code: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    data_images: int | None = None


def read_cost(run: str | Path) -> Cost:
    """Of a run's directory; of one that never started nothing."""
    starts = RunDirectory(run).starts()
    outcomes = tuple(start.get("outcome", NO_END) for start in starts)
    if outcomes and "outcome" not in starts[-1] and RunLock(run).is_held():
        outcomes = (*outcomes[:-1], AT_WORK)
    names = starts[-1].get("gpus", []) if starts else []
    commits = [(start.get("git") or {}).get("commit") for start in starts]
    versions = [f"version {start['difflab']}" if "difflab" in start else None for start in starts]
    code = [commit[:10] if commit else version for commit, version in zip(commits, versions, strict=True)]
    last = starts[-1] if starts else {}
    python = {"python": last["python"]} if "python" in last else {}
    return Cost(
        starts=len(starts),
        outcomes=outcomes,
        preemptions=sum(outcome in ("interrupted", NO_END) for outcome in outcomes[:-1]),
        seconds=sum(start.get("seconds", 0.0) for start in starts),
        untimed=sum("outcome" not in start for start in starts),
        hosts=tuple(dict.fromkeys(start["host"] for start in starts if "host" in start)),
        gpus={name: names.count(name) for name in dict.fromkeys(names)},
        commits=tuple(dict.fromkeys(commit for commit in commits if commit)),
        code=tuple(dict.fromkeys(one for one in code if one)),
        packages=python | dict(last.get("packages", {})),
        data_images=(last.get("data") or {}).get("images"),
    )


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
