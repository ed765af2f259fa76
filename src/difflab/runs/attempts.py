"""What the directory of a run is called: seed<seed>-<identity>, and several runs of one identity beside each other.

Earlier versions called it <identity> alone. Such runs are found under that name, and keep it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_NAME = re.compile(r"(?:seed\d+-)?(?P<id>(?P<identity>.+?)(?:-\d+)?)")


def attempt_directory(parent: str | Path, identity: str, seed: int, restart: bool) -> Path:
    """The directory of a run: <parent>/seed<seed>-<identity>, or its newest later attempt, seed<seed>-<identity>-2, -3 ...

    A job that SLURM has requeued goes on with the attempt that it began, whatever its command says.

    Args:
        parent: Of the directory.
        identity: Of the run.
        seed: Of the run, for people.
        restart: Whether the next attempt is meant, which is new.
    """
    parent = Path(parent)
    pattern = re.compile(rf"(?:seed{seed}-)?{re.escape(identity)}(?:-(\d+))?")
    matches = (pattern.fullmatch(path.name) for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else ()
    there = {int(match[1] or 1): match[0] for match in matches if match}
    newest = max(there, default=1)
    if restart and there and int(os.environ.get("SLURM_RESTART_COUNT", "0")) == 0:
        newest += 1
    return parent / there.get(newest, f"seed{seed}-{identity}" + (f"-{newest}" if newest > 1 else ""))


def identity_of(directory: Path) -> str:
    """The identity in the name of a run's directory, which later attempts share."""
    return _part(directory, "identity")


def run_id(directory: Path) -> str:
    """The identity with the number of the attempt, by which loggers know the run: <identity>, <identity>-2 ..."""
    return _part(directory, "id")


def _part(directory: Path, part: str) -> str:
    match = _NAME.fullmatch(directory.absolute().name)
    return match[part] if match else directory.name
