"""Free disk for everything that the run keeps."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from difflab.launch.doctor.check import Check, Measured
from difflab.launch.doctor.finding import Finding, failed, ok, warning
from difflab.launch.group import Group

NEVER_LESS = 2**30


class DiskSpace(Check):
    """folder   run.root, or above it if it does not exist yet
    needed   how many bytes the run will write, None if no run is named; asked within the check, as it builds the model
    """

    name = "disk space"
    remedy = "look whether run.root exists and the configuration's model can be built"

    def __init__(self, folder: str | Path, needed: Callable[[], int] | None):
        self.folder = Path(folder).absolute()
        self.needed = needed

    def measure(self, group: Group) -> dict[str, Any]:
        place = next(path for path in (self.folder, *self.folder.parents) if path.is_dir())
        needed = self.needed() if self.needed is not None and group.rank == 0 else 0
        return {"free": shutil.disk_usage(place).free, "needed": needed}

    def judge(self, measured: Sequence[Measured]) -> Finding:
        free, needed = measured[0].facts["free"], measured[0].facts["needed"]
        found = f"{free / 1e9:.3g} GB free in {self.folder}"
        found += f", {needed / 1e9:.3g} GB needed" if needed else ""
        remedy = "another run.root, or fewer files: checkpoint.keep_last, checkpoint.milestone, ema_snapshots.every"
        if free < needed:
            return failed(found, remedy)
        if free < max(NEVER_LESS, 1.5 * needed):
            return warning(found, remedy)
        return ok(found)
