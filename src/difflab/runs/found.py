"""Runs by what people type: a folder above, the beginning of a name or of an identity."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from difflab.runs.attempts import run_id

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
