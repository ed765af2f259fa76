"""Trainings that studies of one family have in common, as that of a baseline: each is run once."""

from __future__ import annotations

from pathlib import Path

from difflab.runs import attempt_directory
from difflab.studies.spec import Study


def of_family(study: Study, own: Path, identity: str, seed: int) -> Path:
    """The folder of a training's run: another study's of the family that has completed it, else the study's own.

    Only what is complete is taken over: a run that goes on belongs to the study that has begun it.

    Args:
        study: That needs the training.
        own: Where it would be.
        identity: Of the run.
        seed: Of the run.
    """
    if not study.family or _is_complete(own, identity, seed):
        return own
    family = own.parents[1]  # <run.root>/<family>, of <run.root>/<family>/<study>/<row>
    rows = sorted(path for path in family.glob("*/*") if path.is_dir() and not path.name.startswith("_"))
    return next((row for row in rows if _is_complete(row, identity, seed)), own)


def _is_complete(parent: Path, identity: str, seed: int) -> bool:
    return (attempt_directory(parent, identity, seed, restart=False) / "complete.json").exists()
