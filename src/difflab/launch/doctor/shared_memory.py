"""/dev/shm, through which data workers hand batches to the training process. A full one ends a worker with a bus error, hours later."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from difflab.launch.doctor.check import Check, Measured, NotApplicableError
from difflab.launch.doctor.finding import Finding, failed, ok, warning, worst
from difflab.launch.group import Group

PREFETCHED = 2
"""Batches that each worker has ready (torch's default), besides the one it makes."""

ROOM = 4
"""Latents in float32 take four times as much as pixels."""


class SharedMemory(Check):
    """workers        data.num_workers
    batch_bytes    of the batch that a worker makes at a time
    processes      on a machine, where this process is alone now
    folder         /dev/shm
    """

    name = "shared memory"
    remedy = "look at df /dev/shm"

    def __init__(self, workers: int, batch_bytes: int, processes: int, folder: Path = Path("/dev/shm")):
        self.workers = workers
        self.batch_bytes = batch_bytes
        self.processes = processes
        self.folder = folder

    def measure(self, group: Group) -> dict[str, Any]:
        if self.workers == 0:
            raise NotApplicableError("data.num_workers=0 needs none")
        if not self.folder.is_dir():
            raise NotApplicableError(f"there is no {self.folder}")
        processes = group.local_size if group.size > 1 else self.processes
        needed = processes * self.workers * (PREFETCHED + 1) * self.batch_bytes
        return {"free": shutil.disk_usage(self.folder).free, "needed": needed}

    def judge(self, measured: Sequence[Measured]) -> Finding:
        troubles = []
        remedy = "docker run --shm-size=8g (or --ipc=host), fewer data.num_workers, or a smaller data.micro_batch"
        for one in {one.host: one for one in measured}.values():
            free, needed = one.facts["free"], one.facts["needed"]
            found = f"{one.host}: {free / 2**20:.0f} MB free in {self.folder}, {needed / 2**20:.0f} MB needed by data workers"
            if free < needed:
                troubles.append(failed(found, remedy))
            elif free < ROOM * needed:
                troubles.append(warning(found, remedy))
        least = min(measured, key=lambda one: one.facts["free"]).facts
        return worst(
            troubles, ok(f"{least['free'] / 2**20:.0f} MB free, {max(1, least['needed'] / 2**20):.0f} MB needed")
        )
