"""What the trainings took: time, speed, machines, starts and how they ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from difflab.runs import RunDirectory
from difflab.studies.cost import AT_WORK, Cost, read_cost
from difflab.studies.history import SPEED, History
from difflab.studies.report.trained import Trained


@dataclass(frozen=True)
class RowCost:
    """Of all seeds of a row.

    hours    of the clock, over all starts, evaluations during training included
    speed    images per second: the median over the lines of all logs
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
    """histories   first row of a training -> seed -> what it logged"""
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
