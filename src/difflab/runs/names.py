"""What the directory of a run is called, and runs by what people type.

What the directory of a run is called: seed<seed>-<identity>, and several runs of one identity beside each other.

Earlier versions called it <identity> alone. Such runs are found under that name, and keep it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

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
    """The file or directory that a name means: a path, a folder with one run below it, or the beginning of the name or of the identity of
    one run. A name that means none is given back as it is.

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
