"""Runs that somebody names, outside of a study, and which of them are replicates of each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from difflab.config.resolved import dotted, leaves
from difflab.reading import FileError
from difflab.runs import RunDirectory
from difflab.runs.identity import JUDGED_BY, WHERE_AND_HOW
from difflab.runs.listing import SeveralRunsError, found_run
from difflab.runtime.invocation import command
from difflab.studies.history import History, read_history
from difflab.studies.planning.confounds import ConfigDifference, differences
from difflab.studies.spec import StudyError

WIRING = "module"
"""Repeats the other nodes of a configuration."""


@dataclass(frozen=True)
class GivenRun:
    """A run that somebody names.

    Attributes:
        name: <experiment>/<identity>.
        config: Resolved, as the run has it.
    """

    path: Path
    name: str
    seed: int
    config: Mapping[str, Any]

    @property
    def steps(self) -> int:
        """That it is to make."""
        return self.config["trainer"]["max_steps"]

    @cached_property
    def history(self) -> History:
        return read_history(self.path)

    @property
    def step(self) -> int:
        """The last one that it logged."""
        return int(self.history.steps[-1]) if len(self.history.steps) else 0


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed alone.

    Attributes:
        number: 1 for the one that the others are compared with.
        runs: By seed.
    """

    number: int
    runs: Mapping[int, GivenRun]

    @property
    def first(self) -> GivenRun:
        return next(iter(self.runs.values()))

    @property
    def seeds(self) -> str:
        return ", ".join(map(str, self.runs))


def read_runs(paths: Sequence[str | Path]) -> list[GivenRun]:
    """At least two, each once. A StudyError names the path that is no run."""
    if len(paths) < 2:
        raise StudyError(f"compare names two run directories at least: {command('study compare RUN_A RUN_B')}")
    runs = [_read(_found(path)) for path in paths]
    for i, run in enumerate(runs):
        for other in runs[:i]:
            if run.path.resolve() == other.path.resolve():
                raise StudyError(f"compare: {run.path} is named twice")
    names = [run.name for run in runs]
    return [
        GivenRun(run.path, str(run.path), run.seed, run.config) if names.count(run.name) > 1 else run for run in runs
    ]


def _found(path: str | Path) -> Path:
    try:
        return found_run(path)
    except SeveralRunsError as error:
        raise StudyError(f"compare: {error}") from error


def _read(path: Path) -> GivenRun:
    file = RunDirectory(path).config
    if not file.is_file():
        raise StudyError(f"compare: {path} is no run directory: it has no config.yaml")
    try:
        config = RunDirectory(path).settings()
    except FileError as error:
        raise StudyError(f"compare: {file} is no configuration of a run ({error})") from error
    resolved = path.resolve()
    return GivenRun(path, f"{resolved.parent.name}/{resolved.name}", config["seed"], config)


def grouped(runs: Sequence[GivenRun]) -> list[Group]:
    """In the order in which they are named. A StudyError if two are one run: equal seeds and configurations."""
    groups: list[dict[int, GivenRun]] = []
    for run in runs:
        for group in groups:
            if not config_differences(next(iter(group.values())), run):
                if run.seed in group:
                    raise StudyError(
                        f"compare: {group[run.seed].path} and {run.path} have the same configuration and seed: "
                        "there is nothing to compare"
                    )
                group[run.seed] = run
                break
        else:
            groups.append({run.seed: run})
    return [Group(number, dict(sorted(group.items()))) for number, group in enumerate(groups, 1)]


def config_differences(before: GivenRun, after: GivenRun) -> list[ConfigDifference]:
    """Less seeds, and less what says where and how a run is executed."""
    ignored = {*WHERE_AND_HOW, WIRING, *_seeds(before.config), *_seeds(after.config)}
    return differences(before.config, after.config, ignored)


def check_replicates(runs: Sequence[GivenRun]) -> None:
    """Checks that runs are one experiment with several seeds, however they are judged.

    Raises:
        StudyError: They are not: of others there is no mean over seeds.
    """
    for other in runs[1:]:
        found = [one for one in config_differences(runs[0], other) if one.key.split(".")[0] not in JUDGED_BY]
        if found:
            raise StudyError(
                f"checkpoint: {runs[0].name} and {other.name} are not one experiment with two seeds, they differ in "
                f"{', '.join(map(str, found[:5]))}: evaluate them one by one, and see `study compare`"
            )


def _seeds(config: Mapping[str, Any]) -> list[str]:
    paths = leaves({key: node for key, node in config.items() if key != WIRING})
    return [dotted(path) for path in paths if path[-1] == "seed"]
