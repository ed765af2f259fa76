"""What the trainings took, and which results are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from difflab.pages.figure import Look
from difflab.runs import RunDirectory, RunLock
from difflab.studies.evidence import Arm, Evidence
from difflab.studies.execution.state import CellState
from difflab.studies.history import SPEED, History

NO_END, AT_WORK = "killed", "running"
"""Of a start that wrote down no end."""


@dataclass(frozen=True)
class Cost:
    """From provenance.json.

    Attributes:
        starts: How often it was started.
        outcomes: Of each start: complete, interrupted, diverged, went back, failed, killed (no end on record), running.
        preemptions: Starts that were interrupted or killed and followed by another one.
        seconds: Of all starts that have an end, evaluations during training included.
        untimed: Starts without an end: their time is in no sum.
        hosts: On which it ran.
        gpus: Name -> how many the last start saw on its first host; empty on a CPU.
        commits: Of difflab, in order, each once.
        code: The same for people: of a start without a commit, as of an installed package, its version.
        packages: Name -> version, of the last start.
        data_images: Of the data set; None where the last start did not write it down.
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


NAMED = 4
"""Rows that a label names at most."""


@dataclass(frozen=True)
class Trained:
    """Rows that have their trainings in common.

    Attributes:
        rows: By name; the first one gives look, facts and configuration.
        label: Of all of them.
        runs: Seed -> directory, those that have begun.
        track: By whose weights the first row is judged; None as long as it is not.
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


@dataclass(frozen=True)
class Unfinished:
    """A row at a seed without a result.

    Attributes:
        detail: How far it is, or why it failed.
    """

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


@dataclass(frozen=True)
class RowCost:
    """Of all seeds of a row.

    Attributes:
        hours: Of the clock, over all starts, evaluations during training included.
        speed: Images per second: the median over the lines of all logs.
    """

    row: Trained
    seeds: Mapping[int, Cost]
    speed: float | None

    @property
    def hours(self) -> float:
        return sum(cost.seconds for cost in self.seeds.values()) / 3600

    @property
    def untimed(self) -> int:
        return sum(cost.untimed for cost in self.seeds.values())

    @property
    def starts(self) -> int:
        return sum(cost.starts for cost in self.seeds.values())

    @property
    def preemptions(self) -> int:
        return sum(cost.preemptions for cost in self.seeds.values())

    @property
    def hardware(self) -> str:
        """As "4 x NVIDIA H100" or "CPU", each kind once."""
        kinds = [
            ", ".join(f"{count} × {name}" for name, count in cost.gpus.items()) or "CPU"
            for cost in self.seeds.values()
            if cost.starts
        ]
        return "; ".join(dict.fromkeys(kinds))

    @property
    def code(self) -> list[str]:
        """Commits, and versions where no commit is known."""
        return list(dict.fromkeys(one for cost in self.seeds.values() for one in cost.code))

    @property
    def packages(self) -> str:
        """Names and versions, as the last start of the first seed had them."""
        first = next((cost for cost in self.seeds.values() if cost.packages), None)
        return "" if first is None else ", ".join(f"{name} {version}" for name, version in first.packages.items())

    @property
    def images(self) -> int | None:
        """Of the data set; None for runs that did not write it down."""
        return next((cost.data_images for cost in self.seeds.values() if cost.data_images), None)

    @property
    def hosts(self) -> str:
        return ", ".join(dict.fromkeys(host for cost in self.seeds.values() for host in cost.hosts))


def costs(rows: Sequence[Trained], histories: Mapping[str, Mapping[int, History]]) -> list[RowCost]:
    """What the trainings of all rows took, in the table's order.

    Args:
        histories: First row of a training -> seed -> what it logged.
    """
    found = []
    for row in rows:
        speeds = [history.curve(SPEED)[1] for history in histories[row.rows[0]].values()]
        speeds = np.concatenate(speeds) if speeds else np.empty(0)
        seeds = {seed: read_cost(run) for seed, run in row.runs.items()}
        found.append(RowCost(row, seeds, float(np.median(speeds)) if len(speeds) else None))
    return found


def changed(rows: Sequence[Trained]) -> int:
    """How many trainings were started from a source tree with changes that were not committed."""
    runs = [run for row in rows for run in row.runs.values()]
    return sum(
        any((start.get("git") or {}).get("changed_files") for start in RunDirectory(run).starts()) for run in runs
    )


def commits(found: Sequence[RowCost]) -> list[str]:
    """Of the code, in the order in which they were run, each once."""
    return list(dict.fromkeys(commit for row in found for cost in row.seeds.values() for commit in cost.commits))


def code(found: Sequence[RowCost]) -> list[str]:
    """Commits, and versions where no commit is known, in the order in which they were run, each once."""
    return list(dict.fromkeys(one for row in found for one in row.code))


def troubled(found: Sequence[RowCost]) -> list[tuple[str, int, Cost]]:
    """(label, seed, cost) of the runs that did not come to their end in one go."""
    return [
        (row.row.label, seed, cost)
        for row in found
        for seed, cost in row.seeds.items()
        if cost.outcomes not in ((), ("complete",), (AT_WORK,))
    ]
