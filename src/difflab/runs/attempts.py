"""Several runs of one identity, beside each other."""

from __future__ import annotations

import os
import re
from pathlib import Path


def attempt_directory(parent: str | Path, identity: str, restart: bool) -> Path:
    """<parent>/<identity>, or its newest later attempt <identity>-2, -3 ...; with `restart` the next one, which is new.

    A job that SLURM has requeued goes on with the attempt that it began, whatever its command says.
    """
    parent = Path(parent)
    pattern = re.compile(re.escape(identity) + r"(?:-(\d+))?")
    matches = (pattern.fullmatch(path.name) for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else ()
    numbers = [int(match.group(1) or 1) for match in matches if match]
    newest = max(numbers, default=0)
    if restart and newest and int(os.environ.get("SLURM_RESTART_COUNT", "0")) == 0:
        newest += 1
    return parent / (identity if newest <= 1 else f"{identity}-{newest}")
