"""What tells cheaply that a file has changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

_TICK = 20_000_000
"""Nanoseconds. Clocks of file systems advance every 1 to 10 ms: of two changes within a tick the second would not be seen."""


Stamp = tuple[int, int, int, int]
"""Size, time of the last change of the content, of any change, inode; times in nanoseconds."""


def file_stamp(path: str | Path) -> Stamp:
    """Of one file, see `file_stamps`."""
    return file_stamps([path])[0]


def file_stamps(paths: Iterable[str | Path]) -> list[Stamp]:
    """The stamp of each file.

    Who writes other pixels can set the first time back, but not the second one. A copy has other stamps than its original, so that it is
    read once more. A file that was changed just now is waited for, until a further change would have another time.
    """
    places = list(paths)
    found = [_stamp(path) for path in places]
    age = time.time_ns() - max((changed for *_, changed, _ in found), default=0)
    if 0 <= age < _TICK:
        time.sleep((_TICK - age) / 1e9)
        found = [_stamp(path) for path in places]
    return found


def _stamp(path: str | Path) -> Stamp:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
