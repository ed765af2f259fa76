"""A file's lock that belongs to a process and its children, and ends with them however they end.

The operating system's lock (flock) is on an open file, and a child that inherits the open file holds it, too. So whoever starts a process
can give it a lock for its life: no process number is remembered, and none is mistaken for another one that came to bear it.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path


def take(path: Path, patience: float = 1.0) -> int | None:
    """An open file with the lock, to be passed to a child and closed; None if somebody holds it.

    patience   in seconds: whoever asks `is_held` holds it for a moment
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except OSError:
            if time.monotonic() > deadline:
                os.close(file)
                return None
            time.sleep(0.02)


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock."""
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False
