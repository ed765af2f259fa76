"""Where difflab keeps what it can compute or download again."""

import os
from pathlib import Path

from difflab.data.errors import warn
from difflab.runtime.home import temporary_home


def cache_root() -> Path:
    """$DIFFLAB_CACHE, or ~/.cache/difflab."""
    if named := os.environ.get("DIFFLAB_CACHE"):
        return Path(named).expanduser()
    try:
        home = Path.home()
    except RuntimeError:  # neither $HOME nor an entry among the users
        home = temporary_home()
    return home / ".cache" / "difflab"


def cache_directory(purpose: str) -> Path:
    """The folder for `purpose` below the root, made if absent; a temporary one where that cannot be written."""
    folder = cache_root() / purpose
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
        problem = "permission denied"
    except OSError as error:
        problem = error.strerror or str(error)
    instead = temporary_home() / ".cache" / "difflab" / purpose
    warn(
        f"{folder} cannot be written ({problem}), and {instead} takes its place: let $DIFFLAB_CACHE name a folder that can be written and "
        "is kept"
    )
    instead.mkdir(parents=True, exist_ok=True)
    return instead
