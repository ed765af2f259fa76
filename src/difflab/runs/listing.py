"""Names and folders of runs, and the list of those below a folder.

The directory of a run is called seed<seed>-<identity>, and several runs of one identity beside each other.

Earlier versions called it <identity> alone. Such runs are found under that name, and keep it.
"""

from __future__ import annotations

import os
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

_NAME = re.compile(r"(?:seed\d+-)?(?P<id>(?P<identity>.+?)(?:-\d+)?)")


def attempt_directory(parent: str | Path, identity: str, seed: int, restart: bool) -> Path:
    """The directory of a run: <parent>/seed<seed>-<identity>, or its newest later attempt, seed<seed>-<identity>-2, -3 ...

    A job that SLURM has requeued goes on with the attempt that it began, whatever its command says.

    Args:
        parent: Of the directory.
        identity: Of the run.
        seed: Of the run, for people.
        restart: Whether the next attempt is meant, which is new.
    """
    parent = Path(parent)
    pattern = re.compile(rf"(?:seed{seed}-)?{re.escape(identity)}(?:-(\d+))?")
    matches = (pattern.fullmatch(path.name) for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else ()
    there = {int(match[1] or 1): match[0] for match in matches if match}
    newest = max(there, default=1)
    if restart and there and int(os.environ.get("SLURM_RESTART_COUNT", "0")) == 0:
        newest += 1
    return parent / there.get(newest, f"seed{seed}-{identity}" + (f"-{newest}" if newest > 1 else ""))


def identity_of(directory: Path) -> str:
    """The identity in the name of a run's directory, which later attempts share."""
    return _part(directory, "identity")


def run_id(directory: Path) -> str:
    """The identity with the number of the attempt, by which loggers know the run: <identity>, <identity>-2 ..."""
    return _part(directory, "id")


def _part(directory: Path, part: str) -> str:
    match = _NAME.fullmatch(directory.absolute().name)
    return match[part] if match else directory.name


ROOT = Path("runs")
"""Where runs are kept unless run.root says otherwise."""

_SHORTEST = 4
"""Letters of an identity that are enough to look for it below `ROOT`."""

_DEEPEST = 4
"""Folders below a root: run.root/<study>/<row>/<run>, and one to spare."""


class SeveralRunsError(ValueError):
    """A name that more than one run has."""


def found_run(name: str | Path) -> Path:
    """The file or directory that a name means. A name that means none is given back as it is.

    It is a path, a folder with one run below it, or the beginning of the name or of the identity of one run.

    Args:
        name: As it was typed: runs/cosine_adagn, runs/cosine_adagn/3f2a, 3f2a9c.

    Raises:
        SeveralRunsError: More than one run is meant; the message names them.
    """
    path = Path(name)
    if path.is_dir():
        return path if is_run(path) or (path / "checkpoints").is_dir() else _the_one(path, list(runs_below(path)))
    if path.exists():
        return path
    alone = len(path.parts) == 1
    if alone and len(path.name) < _SHORTEST:
        return path
    among = runs_below(ROOT if alone else path.parent)
    return _the_one(path, [run for run in among if any(n.startswith(path.name) for n in (run.name, run_id(run)))])


def runs_below(folder: Path) -> Iterator[Path]:
    """The directories of runs below a folder, or the folder itself, by name. One that has lost its configuration is one, too."""
    return _walk(Path(folder), _DEEPEST)


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's: there is what only a run writes."""
    return (folder / "provenance.json").is_file() or (
        (folder / "config.yaml").is_file() and (folder / "checkpoints").is_dir()
    )


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    if is_run(folder):
        yield folder
    elif depth:
        try:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir() and entry.name[:1] not in "._")
        except OSError:
            return
        for name in names:
            yield from _walk(folder / name, depth - 1)


def _the_one(path: Path, runs: list[Path]) -> Path:
    if len(runs) > 1:
        shown = ", ".join(map(str, runs[:5])) + (f" and {len(runs) - 5} more" if len(runs) > 5 else "")
        raise SeveralRunsError(f"{path} means {len(runs)} runs: name one of them, {shown}")
    return runs[0] if runs else path


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


def configured(path: Path) -> dict[str, Any]:
    """Dotted key -> value of a run's configuration; nothing where it cannot be read."""
    try:
        return dict(_dotted(RunDirectory(path).settings(), ""))
    except FileError:
        return {}


def _dotted(node: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        yield f"{above}{key}", value
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{above}{key}.")


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
