"""Where difflab keeps what it can compute or download again."""

import os
from pathlib import Path


def cache_root() -> Path:
    """$DIFFLAB_CACHE, or ~/.cache/difflab."""
    return Path(os.environ.get("DIFFLAB_CACHE") or "~/.cache/difflab").expanduser()


def cache_directory(purpose: str) -> Path:
    """The folder for `purpose` below the root, made if absent."""
    folder = cache_root() / purpose
    folder.mkdir(parents=True, exist_ok=True)
    return folder
