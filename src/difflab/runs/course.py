"""Runs that have trained the first steps of another one, so that it may go on where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from difflab.reading import FileError
from difflab.runs.changes import recorded_code
from difflab.runs.directory import RunDirectory
from difflab.runs.identity import course, course_code, differ_in_length_alone
from difflab.runs.lock import RunLock
from difflab.runs.saved_checkpoints import is_whole, saved, step_of


@dataclass(frozen=True)
class Beginning:
    """A state of another run that is one of this run, too.

    Attributes:
        run: The other one.
        steps: For how many it was to train.
        checkpoint: Its newest one that is not behind the end of this run.
    """

    run: RunDirectory
    steps: int
    checkpoint: Path

    @property
    def step(self) -> int:
        return step_of(self.checkpoint)


@dataclass(frozen=True)
class Course:
    """What the weights of a run are after each step, and the runs beside it that have the same ones.

    Attributes:
        directory: Of the run.
        config: Its resolved configuration, plain.
        data: Fingerprint of the data set's content.
        initial: Fingerprint of the weights from which it starts; "" for those that the seed draws.
    """

    directory: Path
    config: Mapping[str, Any]
    data: str
    initial: str

    @property
    def steps(self) -> int:
        return self.config["trainer"]["max_steps"]

    def beginning(self, unfit: Callable[[Path], str]) -> Beginning | None:
        """The furthest state of another run from which this one may go on; None if there is none.

        A run that another process trains at the moment is left alone, and one that something else than its number of steps has ended
        would have ended there in any case.

        Args:
            unfit: Says why a whole checkpoint is not used; "" for one that is.
        """
        found = []
        for run, steps in self._others():
            if RunLock(run.path).is_held() or run.early_end():
                continue
            kept = [path for path in reversed(saved(run.checkpoints)) if step_of(path) <= self.steps]
            if checkpoint := next((path for path in kept if is_whole(path) and not unfit(path)), None):
                found.append(Beginning(run, steps, checkpoint))
        return max(found, key=lambda one: one.step, default=None)

    def refused(self) -> str:
        """Why this run begins at step 0 although another one differs from it in its number of steps alone; "" if there is none."""
        for run, _ in self._others():
            if (kept := saved(run.checkpoints)) and step_of(kept[0]) > self.steps:
                return (
                    f"{run.path} has been trained beyond step {self.steps} and keeps no checkpoint from before it: this run of "
                    f"{self.steps} steps begins at step 0. What was measured there up to step {self.steps} is in its metrics.jsonl"
                )
        for run, config, _ in self._beside():
            if differ_in_length_alone(self.config, config) and saved(run.checkpoints):
                return (
                    f"{run.path} ({config['trainer']['max_steps']} steps) is not continued to {self.steps}: {self._as_long()} is as "
                    f"long as its training, so that a run of {self.steps} steps differs from its first step on. This is a new run. "
                    f"init_from={run.path} would start from its weights; a schedule with a length of its own can be continued"
                )
        return ""

    def _others(self) -> Iterator[tuple[RunDirectory, int]]:
        """The other runs of this course, and their numbers of steps."""
        mine, code = course(self.config, self.data, self.initial), course_code(self.config).fingerprints()
        for run, config, start in self._beside():
            data, initial = start.get("data", {}), start.get("initial_weights", {})
            known = recorded_code(start) or {}
            theirs = course(config, data.get("fingerprint", ""), initial.get("sha256", ""))
            if theirs == mine and all(known.get(name) == value for name, value in code.items()):
                yield run, config["trainer"]["max_steps"]

    def _beside(self) -> Iterator[tuple[RunDirectory, dict[str, Any], dict[str, Any]]]:
        """Other runs of the same name with their configuration and last start; where the name is a study's, of its other rows, too."""
        parent = self.directory.parent
        rows = sorted(parent.parent.iterdir()) if "/" in self.config["run"]["name"] else [parent]
        for path in [path for row in rows if row.is_dir() for path in sorted(row.iterdir())]:
            run = RunDirectory(path)
            if path == self.directory or not run.config.is_file() or not (starts := run.starts()):
                continue
            try:
                yield run, run.settings(), starts[-1]
            except FileError:
                continue

    def _as_long(self) -> str:
        """What is as long as training."""
        schedule = self.config.get("lr_schedule", {})
        keys = [f"lr_schedule.{key}" for key, value in schedule.items() if value == self.steps]
        return ", ".join(keys) or "a part of it"
