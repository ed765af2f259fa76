"""Data sets that torchvision downloads from their canonical source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from difflab.data.errors import DataError


def is_training_split(split: str) -> bool:
    """True for "train", False for "test"."""
    if split not in ("train", "test"):
        raise DataError(f"split={split}: this data set has the splits train and test.")
    return split == "train"


def fetch(source: Callable[..., Any], root: str | Path, split: str, remedy: str) -> Any:
    """A torchvision data set, downloaded to `root` unless it is there. The processes of a node take turns."""
    root = Path(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".download.lock"):
            return source(root, train=is_training_split(split), download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{source.__name__} is not in {root.resolve()} and did not download ({error}). {remedy}"
        ) from error
