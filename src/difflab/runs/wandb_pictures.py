"""Grids of samples as W&B shows them: with a caption, and left out where W&B takes them not."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import wandb

from difflab.runs.directory import RunDirectory
from difflab.runs.guarded import what

_log = logging.getLogger(__name__)


def picture(path: Path, caption: str) -> Any | None:
    """A W&B image; None, with a warning, for what is none.

    Args:
        path: Of the file.
        caption: Is shown below it.
    """
    try:
        return wandb.Image(str(path), caption=caption)
    except (OSError, ValueError, SyntaxError) as error:
        _log.warning("%s is no picture that W&B takes: %s", path, what(error))
        return None


def grids_of_step(run: RunDirectory, step: int) -> dict[str, Any]:
    """`samples/<track>` -> the grid that training has drawn from an EMA track's weights.

    Args:
        run: Whose grids.
        step: At which they were drawn.
    """
    grids = {
        f"samples/{track}": picture(path, f"{track}, step {step}, seeds from 0")
        for track, path in run.pictures(step).items()
    }
    return {name: grid for name, grid in grids.items() if grid is not None}
