"""Where difflab keeps what it can compute or download again."""

import os
from pathlib import Path


def cache_directory(purpose: str) -> Path:
    """The folder for `purpose`, made if absent: below $DIFFLAB_CACHE, or ~/.cache/difflab."""
    root = os.environ.get("DIFFLAB_CACHE") or "~/.cache/difflab"
    folder = Path(root).expanduser() / purpose
    folder.mkdir(parents=True, exist_ok=True)
    return folder
