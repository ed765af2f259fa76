"""The runs below a folder, each in a line: read from the small files of a run, and from the end of the large one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from difflab.reading import FileError, read_json
from difflab.runs.directory import RunDirectory
from difflab.runs.metrics_file import rows_from_end
from difflab.runs.names import identity_of, runs_below

_SEED = re.compile(r"seed(\d+)-")
_SAID_ELSEWHERE = ("experiment", "seed", "run.root", "run.name", "hydra.searchpath")


@dataclass(frozen=True)
class ListedRun:
    """A run.

    Attributes:
        path: Its directory.
        experiment: That its last command names, or the folder that it lies in.
        identity: Of the run.
        seed: Of the run; None where only its config.yaml tells, and that cannot be read.
        status: complete, training, or how the last start ended: interrupted, diverged, failed, killed.
        step: The last one that it logged, or with which its last start has ended.
        overrides: What its last command sets beside the experiment and the seed.
        scores: Of the last evaluation.
        wandb: online, offline (nothing or not all of it was uploaded), synced, or none.
        changed: When it last wrote, ISO 8601.
    """

    path: str
    experiment: str
    identity: str
    seed: int | None
    status: str
    step: int
    overrides: tuple[str, ...]
    scores: dict[str, float]
    wandb: str
    changed: str


def listed(folder: Path) -> Iterator[ListedRun | FileError]:
    """Every run below a folder; of one whose files cannot be read, why."""
    for path in runs_below(folder):
        try:
            yield _listed(RunDirectory(path))
        except (FileError, OSError) as error:
            yield error if isinstance(error, FileError) else FileError(f"{path}: {error.strerror}")


def _listed(run: RunDirectory) -> ListedRun:
    if not run.config.is_file():
        raise FileError(f"{run.path} has no config.yaml, and is no whole run")
    starts: Any = read_json(run.provenance, list) if run.provenance.exists() else []
    last = starts[-1] if starts and isinstance(starts[-1], dict) else {}
    words = _words(last)
    given = settings(words)
    summary = read_json(run.complete) if run.complete.exists() else None
    scores = (
        run.last_scores() if summary is None else {key: one for key, one in summary.items() if key.startswith("eval/")}
    )
    status = run.status()
    return ListedRun(
        path=str(run.path),
        experiment=given.get("experiment") or run.path.absolute().parent.name,
        identity=identity_of(run.path),
        seed=_seed(run),
        status="training" if status == "running" else status,
        step=_step(run, last) if summary is None else int(summary.get("step", 0)),
        overrides=tuple(word for word in words if word.lstrip("+").partition("=")[0] not in _SAID_ELSEWHERE),
        scores={name: float(value) for name, value in scores.items()},
        wandb=_wandb(run.path / "wandb"),
        changed=_changed(run),
    )


def settings(words: Sequence[str]) -> dict[str, str]:
    """Key -> value of words that set something."""
    pairs = (word.lstrip("+").partition("=") for word in words)
    return {key: value for key, _, value in pairs}


def _words(start: Mapping[str, Any]) -> list[str]:
    """The words that set something at a start: those of its row in a sweep. Earlier versions kept the whole command alone."""
    own = start.get("overrides")
    if isinstance(own, list):
        return [str(word) for word in own if "=" in str(word)]
    try:
        words = shlex.split(str(start.get("command") or ""))
    except ValueError:
        return []
    return [word for word in words if "=" in word and not word.startswith("-")]


def _seed(run: RunDirectory) -> int | None:
    """From the name of the directory; of one that an earlier version has named, from its configuration."""
    match = _SEED.match(run.path.absolute().name)
    if match:
        return int(match[1])
    with suppress(FileError):
        return int(run.settings()["seed"])
    return None


def _step(run: RunDirectory, start: Mapping[str, Any]) -> int:
    """The last one that is logged, or with which the last start has ended: a run may be saved before its first line."""
    rows = rows_from_end(run.metrics) if run.metrics.exists() else iter(())
    ended = start.get("to_step")
    return max(int(next(rows, {"step": 0})["step"]), ended if isinstance(ended, int) else 0)


def _wandb(folder: Path) -> str:
    pieces = list(folder.glob("offline-run-*/*.wandb"))
    if not pieces:
        return "online" if any(folder.glob("run-*")) else "none"
    return "synced" if all(Path(f"{piece}.synced").exists() for piece in pieces) else "offline"


def _changed(run: RunDirectory) -> str:
    times = [file.stat().st_mtime for file in (run.metrics, run.provenance, run.complete, run.config) if file.exists()]
    return datetime.fromtimestamp(max(times), UTC).isoformat(timespec="seconds")
