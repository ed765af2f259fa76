"""Where the batch script and the profiles are."""

from __future__ import annotations

from pathlib import Path

import difflab

_PACKAGE = Path(difflab.__file__).parent


def slurm_directory() -> Path:
    """slurm/: inside the installed package, or at the root of the source tree."""
    installed = _PACKAGE / "slurm"
    return installed if installed.is_dir() else _PACKAGE.parents[1] / "slurm"
