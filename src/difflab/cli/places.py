"""Where the configuration files are."""

from __future__ import annotations

from pathlib import Path

import difflab

_PACKAGE = Path(difflab.__file__).parent


def config_directory() -> Path:
    """conf/: inside the installed package, or at the root of the source tree."""
    installed = _PACKAGE / "conf"
    return installed if installed.is_dir() else _PACKAGE.parents[1] / "conf"


def experiments_directory() -> Path:
    """experiments/, the folder of studies, beside conf/."""
    return config_directory().with_name("experiments")
