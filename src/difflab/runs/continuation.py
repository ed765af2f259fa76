"""A run that goes on where another one is that has trained the same first steps."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from difflab.files import WriteError, atomic_file, link, make_folder, write_json
from difflab.reading import FileError
from difflab.reading.arrays import read_checkpoint
from difflab.reading.json import dumps
from difflab.runs.checkpoints import AtomicCheckpointIO, CheckpointError
from difflab.runs.directory import RunDirectory
from difflab.runs.identity import course, course_code, differ_in_length_alone
from difflab.runs.lock import RunLock
from difflab.runs.metrics_file import end_of_step, lines, row_of
from difflab.runs.provenance import recorded_code
from difflab.runs.saved_checkpoints import EVALUATED_STEP, MARK, is_whole, mark_of, saved, step_of

FROZEN = "frozen_weights"
"""Name in the record of a start: the fingerprints of the models that the objective brought along."""


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
        named = self.checkpoint.stem.startswith("step-")
        return step_of(self.checkpoint) if named else int(_step_in(self.checkpoint))  # best.ckpt does not say it


@dataclass(frozen=True)
class Course:
    """What the weights of a run are after each step, and the runs beside it that have the same ones.

    Attributes:
        directory: Of the run.
        config: Its resolved configuration, plain.
        data: Fingerprint of the data set's content.
        initial: Fingerprint of the weights from which it starts; "" for those that the seed draws.
        frozen: Name -> fingerprint of the models that its objective brings along.
    """

    directory: Path
    config: Mapping[str, Any]
    data: str
    initial: str
    frozen: Mapping[str, str]

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
        mine = course(self.config, self.data, self.initial, self.frozen)
        code = course_code(self.config).fingerprints()
        for run, config, start in self._beside():
            data, initial = start.get("data", {}), start.get("initial_weights", {})
            known = recorded_code(start) or {}
            frozen = start.get(FROZEN, {})
            theirs = course(config, data.get("fingerprint", ""), initial.get("sha256", ""), frozen)
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


_STEP = re.compile(r"(?:^step-|_)(\d{8,15})(?:-|\.|$)")


def carry_over(
    run: RunDirectory,
    beginning: Beginning,
    config: Mapping[str, Any],
    protocols: Mapping[str, Mapping[str, Any]],
    monitor: str,
    adapt: Callable[[dict[str, Any]], None] = lambda state: None,
) -> bool:
    """Gives a run what it would have if it had trained these steps itself. The other run stays as it is.

    Scores that were measured under another protocol than this run's stay where they are, and so do milestones. The checkpoint comes
    last: as long as the run has none, all of this can be done once more.

    Args:
        run: That begins. It has no checkpoint.
        beginning: Where.
        config: The run's resolved configuration, plain.
        protocols: Score -> fields, as the run will measure it.
        monitor: The score by which best.ckpt is chosen.
        adapt: Makes a state of the other run one of this run, where they are not the same.

    Returns:
        Whether the run takes over all of its scores up to this step.
    """
    other, step = beginning.run, beginning.step
    before = other.protocols()
    kept = {name for name, one in protocols.items() if before.get(name, {}).get("fingerprint") == one["fingerprint"]}
    grid = other.settings().get("eval", {}).get("grid")
    alike = len(kept) == len(protocols) and grid == config["eval"]["grid"]
    for folder in (run.samples, run.snapshots, run.checkpoints):
        make_folder(folder)
    if other.metrics.exists():
        with atomic_file(run.metrics) as aside, aside.open("wb") as file:
            file.writelines(_lines(other.metrics, step, kept))
    pictures = other.grids() if alike else ()  # a strip is of the end of a run
    every = config["ema_snapshots"]["every"]
    snapshots = [path for path in other.snapshots.glob("step-*.safetensors") if every and not _step(path) % every]
    for path in (*pictures, *snapshots):  # what it wrote at its end is no snapshot of a longer one
        if _step(path) <= step:
            link(path, run.path / path.parent.name / path.name)
    detours = other.path / "detours.json"
    if detours.exists():
        link(detours, run.path / detours.name)
    starts = [{"run": str(other.path)} | start for start in other.starts()]
    write_json(run.provenance, [*starts[:-1], starts[-1] | {"taken_over_at": step}])
    best = other.checkpoints / "best.ckpt"
    if monitor in kept and best.exists() and is_whole(best) and _step_in(best) <= step:
        _copy(best, run, best.name, alike, True, adapt)
    _copy(beginning.checkpoint, run, f"step-{step:08d}.ckpt", alike, monitor in kept, adapt)
    return alike


def _copy(
    path: Path, run: RunDirectory, name: str, alike: bool, keeps_best: bool, adapt: Callable[[dict[str, Any]], None]
) -> None:
    """Writes a checkpoint as the run's own."""
    state = read_checkpoint(path, mapped=True)
    adapt(state)
    state[MARK] = mark_of(run.checkpoints)
    callbacks = state["callbacks"]
    if "Checkpoints" in callbacks and not keeps_best:
        callbacks["Checkpoints"]["best"] = inf
    for part in callbacks.values() if not alike else ():
        if EVALUATED_STEP in part:
            part[EVALUATED_STEP] = -1
    try:
        AtomicCheckpointIO().save_checkpoint(state, run.checkpoints / name)
    except CheckpointError as error:
        raise WriteError(str(error)) from error


def _step_in(checkpoint: Path) -> float:
    """After how many steps a checkpoint was written; infinitely many for what is none."""
    state = read_checkpoint(checkpoint, mapped=True)
    return state.get("global_step", inf) if isinstance(state, dict) else inf


def _lines(metrics: Path, step: int, kept: Collection[str]) -> Iterator[bytes]:
    """The lines up to a step, without scores that are not kept."""
    last = end_of_step(metrics, step)
    for _, end, line in lines(metrics):
        if end > last:
            return
        if b'"eval/' in line and (row := row_of(line)) is not None:
            left = {name: value for name, value in row.items() if not name.startswith("eval/") or name in kept}
            if len(left) < len(row):
                line = b"" if left.keys() == {"step"} else (dumps({"step": left.pop("step")} | left) + "\n").encode()
        yield line


def _step(path: Path) -> int:
    """Of a picture or a snapshot."""
    found = _STEP.search(path.stem)
    return int(found[1]) if found else -1


def take_over(
    run: RunDirectory,
    name: str,
    course: Course,
    protocols: Mapping[str, Mapping[str, Any]],
    monitor: str,
    unfit: Callable[[Path], str],
) -> list[str]:
    """Gives a run that has no checkpoint the state of another one that has trained its first steps, if there is one.

    With run.restart=true, and in the later attempts that it makes, a run trains all of its steps itself.

    Args:
        run: That is about to begin, locked.
        name: Its identity.
        course: What its weights are after each step.
        protocols: Score -> fields, as the run will measure it.
        monitor: The score by which best.ckpt is chosen.
        unfit: Says why a whole checkpoint is not used; "" for one that is.

    Returns:
        Sentences about it for the user.
    """
    from difflab.runs.listing import run_id
    from difflab.runs.saved_checkpoints import newest

    anew = course.config["run"]["restart"] or run_id(run.path) != name
    if anew or newest(run.checkpoints, unfit) is not None:
        return []
    beginning = course.beginning(unfit)
    if beginning is None:
        return [refused] if (refused := course.refused()) else []
    alike = carry_over(run, beginning, course.config, protocols, monitor)
    said = [_taken_over(beginning, course.steps)]
    return said if alike else [*said, f"its scores were measured otherwise, and stay in {beginning.run.metrics}"]


def _taken_over(beginning: Beginning, steps: int) -> str:
    other, step = beginning.run.path, beginning.step
    status = beginning.run.status()
    if step == steps:
        return f"{other} ({status}) has trained these weights: they are evaluated, and not trained again"
    if steps > beginning.steps:
        return f"extended from {beginning.steps} to {steps} steps: {other} ({status}) has trained the first {step}, and stays as it is"
    return f"{other} ({status}) has trained the first {step} steps of this run, and stays as it is"
