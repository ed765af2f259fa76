"""The home folder, and whether it can be used."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_KEPT_IN = {
    "XDG_CACHE_HOME": ".cache",
    "WANDB_CACHE_DIR": ".cache/wandb",
    "WANDB_DATA_DIR": ".local/share/wandb",
    "MPLCONFIGDIR": ".config/matplotlib",
}
"""Variable -> where a library writes below a home, all of it to be had again."""


def find_home() -> None:
    """Gives this process, and those that it starts, a temporary home in place of one that is missing. One that can only be read stays: it
    may hold a login or weights; what libraries write there is sent elsewhere.
    """
    home = _home()
    if home is None or not home.is_dir():
        os.environ["HOME"] = str(temporary_home())
    elif not os.access(home, os.W_OK | os.X_OK):
        for variable, folder in _KEPT_IN.items():
            os.environ.setdefault(variable, str(temporary_home() / folder))


def temporary_home() -> Path:
    """A folder that nobody else can have filled, the same one for all processes of a user wherever that is possible."""
    folder = Path(tempfile.gettempdir()) / f"difflab-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid == os.getuid() and found.st_mode == 0o40700:
        return folder
    return Path(tempfile.mkdtemp(prefix="difflab-"))


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # neither $HOME nor an entry among the users
        return None


def check_surroundings() -> str | None:
    """Finds the process a home. Returns what is missing, and what to do about it; None if nothing is."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the current folder is gone: change to one that exists (cd), and the same command again"
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return "no folder for temporary files can be written: let $TMPDIR name one that can"
    find_home()
    return None
