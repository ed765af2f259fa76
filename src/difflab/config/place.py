"""Whether results can be written where they are to be, asked before there are any."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from difflab.config.groups import ConfigError


def check_place(said: str, path: str | Path) -> None:
    """Raises a ConfigError where a folder cannot be made or nothing written into it. Makes nothing itself.

    Args:
        said: As the user has typed it, run.root=/data/runs.
        path: Of the folder.
    """
    words = str(path)
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in words):
        raise ConfigError(f"{said!r}: a path with a line break or another control character: leave that out")
    try:
        above = Path(words).absolute()
        while not _exists(above):
            above = above.parent
        longest, whole = (os.pathconf(above, limit) for limit in ("PC_NAME_MAX", "PC_PATH_MAX"))
    except (OSError, ValueError) as error:  # a file in the place of a folder
        raise ConfigError(f"{_short(said)}: no such folder can be made ({_reason(error)}): choose another") from error
    if any(len(os.fsencode(part)) > longest for part in Path(words).parts):
        raise ConfigError(f"{_short(said)}: a name is longer than the {longest} bytes that it may have: choose another")
    if len(os.fsencode(Path(words).absolute())) >= whole:
        raise ConfigError(f"{_short(said)}: the path is longer than the {whole} bytes that it may have: choose another")
    if not above.is_dir():
        raise ConfigError(f"{said}: {above} is a file, where a folder must be: choose another")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ConfigError(f"{said}: {above} cannot be written to: choose another folder, or have it made writable")


def _exists(path: Path) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        if path == path.parent:
            raise
        return False
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False
    return True


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _short(said: str) -> str:
    return said if len(said) < 200 else f"{said[:80]} ... {said[-40:]}"
