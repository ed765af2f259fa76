"""What a run takes over from another one that has trained its first steps."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Any

from difflab.callbacks.track_evaluation import JUDGED_STEP
from difflab.files import WriteError, atomic_file, link, make_folder, write_json
from difflab.reading.weights import read_checkpoint
from difflab.runs.checkpoint_io import AtomicCheckpointIO, CheckpointError
from difflab.runs.course import Beginning
from difflab.runs.directory import RunDirectory
from difflab.runs.metrics_file import end_of_step, lines, row_of
from difflab.runs.saved_checkpoints import MARK, is_whole, mark_of
from difflab.strict_json import dumps

_STEP = re.compile(r"(?:^step-|_)(\d{8,15})(?:-|\.|$)")


def carry_over(
    run: RunDirectory,
    beginning: Beginning,
    config: Mapping[str, Any],
    protocols: Mapping[str, Mapping[str, Any]],
    monitor: str,
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
    pictures = other.samples.glob("*.png") if alike else ()
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
        _copy(best, run, best.name, alike, keeps_best=True)
    _copy(beginning.checkpoint, run, beginning.checkpoint.name, alike, keeps_best=monitor in kept)
    return alike


def _copy(path: Path, run: RunDirectory, name: str, alike: bool, keeps_best: bool) -> None:
    """Writes a checkpoint as the run's own."""
    state = read_checkpoint(path, mapped=True)
    state[MARK] = mark_of(run.checkpoints)
    callbacks = state["callbacks"]
    if "Checkpoints" in callbacks and not keeps_best:
        callbacks["Checkpoints"]["best"] = inf
    for part in callbacks.values() if not alike else ():
        if JUDGED_STEP in part:
            part[JUDGED_STEP] = -1
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
