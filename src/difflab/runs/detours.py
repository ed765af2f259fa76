"""Going back after a divergence."""

from __future__ import annotations

from pathlib import Path

from difflab.files import make_folder, move, write_json
from difflab.reading import read_json
from difflab.runs.directory import RunDirectory
from difflab.runs.saved_checkpoints import saved, step_of


def go_back(run: RunDirectory, checkpoints: int) -> int:
    """Moves the newest checkpoints aside, so that the next start begins at an older one, and counts the detour; returns its step.

    With no checkpoint left training begins anew, at step 0.
    """
    found = saved(run.checkpoints)
    make_folder(run.diverged)
    for path in found[-checkpoints:]:
        move(path, run.diverged / path.name)
    left = saved(run.checkpoints)
    step = step_of(left[-1]) if left else 0
    write_json(_file(run), [*_detours(run), {"to_step": step}], indent=None)
    return step


def detour_count(run: RunDirectory) -> int:
    """How often this run has gone back: each time it goes on with other noise than before."""
    return len(_detours(run))


def _detours(run: RunDirectory) -> list[dict[str, int]]:
    return (
        read_json(_file(run), list) if _file(run).exists() else []
    )  # what cannot be read is no 0: the noise depends on it


def _file(run: RunDirectory) -> Path:
    return run.path / "detours.json"
