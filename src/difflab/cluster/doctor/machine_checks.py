"""Checks of one machine."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from difflab.cluster.doctor.check import Check, Finding, Measured, NotApplicableError, failed, ok, warning, worst
from difflab.distributed.group import Group

NEVER_LESS = 2**30


class DiskSpace(Check):
    """Whether the run has room on the disk.

    Args:
        folder: run.root, or above it if it does not exist yet.
        needed: How many bytes the run will write, None if no run is named; asked within the check, as it builds the model.
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


ALWAYS, PER_WORKER, PER_PROCESS = 256, 128, 4
"""Files of Python, torch and the logger; of a data worker and the batches under way; of another process."""


class OpenFiles(Check):
    """Whether a process may open as many files as the workers need.

    Args:
        workers: data.num_workers.
    """

    name = "open files"
    remedy = "ulimit -n"

    def __init__(self, workers: int):
        self.workers = workers

    def measure(self, group: Group) -> dict[str, Any]:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = ALWAYS + PER_WORKER * self.workers + PER_PROCESS * group.size
        return {"soft": soft, "hard": hard, "needed": needed}

    def judge(self, measured: Sequence[Measured]) -> Finding:
        troubles = []
        for one in measured:
            soft, hard, needed = (one.facts[key] for key in ("soft", "hard", "needed"))
            if soft == resource.RLIM_INFINITY or soft >= needed:
                continue
            found = f"{one.who} may open {soft} files, about {needed} may be needed"
            if hard == resource.RLIM_INFINITY or hard >= needed:
                troubles.append(warning(found, f"ulimit -n {needed} before the command, or in the profile's setup"))
            else:
                troubles.append(failed(found, f"the hard limit is {hard}: have it raised, or lower data.num_workers"))
        fewest = min(
            (one.facts["soft"] for one in measured), key=lambda n: float("inf") if n == resource.RLIM_INFINITY else n
        )
        limit = "no limit" if fewest == resource.RLIM_INFINITY else f"{fewest} per process"
        return worst(troubles, ok(f"{limit}, about {measured[0].facts['needed']} needed"))


PREFETCHED = 2
"""Batches that each worker has ready (torch's default), besides the one it makes."""

ROOM = 4
"""Latents in float32 take four times as much as pixels."""


class SharedMemory(Check):
    """Whether the workers' batches have room in shared memory.

    Args:
        workers: data.num_workers.
        batch_bytes: Of the batch that a worker makes at a time.
        processes: On a machine, where this process is alone now.
        folder: /dev/shm.
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


OCCUPIED = 0.1
"""Share of the memory that may be taken; a context alone takes some hundred MB."""


class GPUs(Check):
    """Whether there are the GPUs that the trainer asks for, and what they can do.

    Args:
        accelerator: Of the trainer.
        devices: Of the trainer: the number of processes that one process starts by itself.
        precision: Of the trainer.
    """

    name = "GPUs"
    remedy = "look at nvidia-smi on that node; a node whose GPUs do not answer is to be excluded"

    def __init__(self, accelerator: str, devices: int, precision: str):
        self.accelerator = accelerator
        self.devices = devices
        self.precision = precision

    def measure(self, group: Group) -> dict[str, Any]:
        if self.accelerator == "cpu":
            raise NotApplicableError("trainer.accelerator=cpu")
        visible = torch.cuda.device_count()
        mine = [group.local_rank] if group.size > 1 else range(visible)
        return {
            "visible": visible,
            "driver": shutil.which("nvidia-smi") is not None,
            "needed": group.local_size if group.size > 1 else self.devices,
            "gpus": [describe(index) for index in mine if index < visible],
        }

    def judge(self, measured: Sequence[Measured]) -> Finding:
        with_gpus = [one for one in measured if one.facts["visible"]]
        if not with_gpus:
            if any(one.facts["driver"] for one in measured):
                seen = "nvidia-smi is here, but torch sees no GPU"
                return failed(seen, "look at CUDA_VISIBLE_DEVICES, the job's --gpus-per-node and the versions above")
            if self.accelerator in ("gpu", "cuda"):
                return failed(
                    "no GPU",
                    f"trainer.accelerator={self.accelerator} needs one: trainer.accelerator=auto takes what there is",
                )
            return ok("none: training on the CPU")
        troubles = [
            failed(
                f"{one.who} sees {one.facts['visible']} GPUs for {one.facts['needed']} processes",
                "one GPU per process, all of a node seen by each: --gpus-per-node, not --gpus-per-task",
            )
            for one in measured
            if one.facts["visible"] < one.facts["needed"]
        ]
        all_gpus = [(one, gpu) for one in measured for gpu in one.facts["gpus"]]
        kinds = {(gpu["name"], gpu["memory_gb"]) for _, gpu in all_gpus}
        if len(kinds) > 1:
            named = ", ".join(f"{name} {memory} GB" for name, memory in sorted(kinds))
            troubles.append(
                warning(
                    f"different GPUs: {named}",
                    "the slowest sets the pace: ask for one kind, by launcher.options or the profile",
                )
            )
        for one, gpu in all_gpus:
            label = f"GPU {gpu['index']} ({gpu['name']}) on {one.host}"
            if gpu["used_gb"] > OCCUPIED * gpu["memory_gb"]:
                used = f"{label}: {gpu['used_gb']} of {gpu['memory_gb']} GB are taken"
                troubles.append(warning(used, "somebody else computes there: nvidia-smi names the process"))
            if "bf16" in self.precision and not gpu["bf16"]:
                troubles.append(failed(f"{label} has no bfloat16", "trainer.precision=32-true, or 16-mixed"))
        names = ", ".join(f"{name} {memory} GB" for name, memory in sorted(kinds))
        halves = "bf16" if all(gpu["bf16"] for _, gpu in all_gpus) else "no bf16"
        return worst(troubles, ok(f"{len(all_gpus)} x {names}, free, {halves}"))


def describe(index: int) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    return {
        "index": index,
        "name": properties.name,
        "memory_gb": round(total / 1e9),
        "used_gb": round((total - free) / 1e9, 1),
        "bf16": properties.major >= 8,
    }
