"""Files and folders that are there whole or not at all.

They are written beside their place under a name of the process's own and renamed. What a killed process left behind has a name by which
`clear_remains` knows it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = ".writing-"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives the path to write to; afterwards the file has its own name, on the disk and not only in memory."""
    aside = _aside(path)
    try:
        yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Gives an empty folder to write into; afterwards it stands in the place of `path` and of what was there."""
    aside = _aside(path)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        if path.exists():
            former = path.with_name(f"{aside.name}-former")
            os.replace(path, former)
            os.replace(aside, path)
            shutil.rmtree(former)
        else:
            os.replace(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def clear_remains(folder: Path) -> None:
    """Removes what processes that were killed while they wrote left in a folder."""
    for remains in folder.glob(f"{_PREFIX}*"):
        if remains.is_dir():
            shutil.rmtree(remains)
        else:
            remains.unlink()


def _aside(path: Path) -> Path:
    return path.with_name(f"{_PREFIX}{path.name}-{os.getpid()}")
