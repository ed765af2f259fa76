"""The checkpoints of a run that are on the disk, and which is used."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path

_log = logging.getLogger(__name__)


def newest(directory: str | Path) -> Path | None:
    """The newest checkpoint that verifies. A damaged one is named in a warning and left where it is."""
    for path in reversed(saved(Path(directory))):
        if is_whole(path):
            return path
        _log.warning("%s is damaged and is not used", path)
    return None


def is_whole(path: Path) -> bool:
    """Whether every entry of the archive agrees with its checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError):
        return False


def saved(directory: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted(directory.glob("step-*.ckpt"), key=step_of)


def step_of(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))
