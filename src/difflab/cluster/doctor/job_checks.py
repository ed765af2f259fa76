"""Checks of a job: the connection between its processes, and the limits that SLURM sets.

Sums over all processes: right, and how fast.

A ring moves 2 (n - 1) / n of the data through every process: bandwidth = that share * bytes / seconds, comparable between numbers of
processes and with the network's own figure.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import torch
import torch.distributed as dist

from difflab.cluster.doctor.check import Check, Finding, Measured, NotApplicableError, failed, ok, warning, worst
from difflab.distributed.group import Group

SIZES_MB = (1, 64)
SLOW_GB_S = {"gloo": 0.05, "nccl": 2.0}
"""Below this a network is not what it should be: gloo over gigabit Ethernet has 0.1, NCCL over 25 Gbit Ethernet about 3."""
REPEATS = 3


class AllReduce(Check):
    """Whether the processes can add up what each of them has.

    Args:
        accelerator: Of the trainer: NCCL is examined where every process has a GPU of its own, gloo on CPUs.
    """

    name = "all-reduce"
    remedy = (
        "the nodes do not reach each other through the network that is chosen: name the interface (launcher.profile's network_interface, "
        "or NCCL_SOCKET_IFNAME and GLOO_SOCKET_IFNAME), look at firewalls, and see NCCL_DEBUG=INFO"
    )

    def __init__(self, accelerator: str):
        self.accelerator = accelerator

    def measure(self, group: Group) -> dict[str, Any]:
        if group.size == 1:
            raise NotApplicableError("one process: try it by torchrun --nproc_per_node 2 -m difflab doctor, or srun")
        own_gpu = self.accelerator != "cpu" and torch.cuda.device_count() >= group.local_size
        device = torch.device("cuda", group.local_rank) if own_gpu else torch.device("cpu")
        backend = "nccl" if own_gpu else "gloo"
        if own_gpu:
            torch.cuda.set_device(device)
        group.barrier("all-reduce")
        dist.init_process_group(
            backend,
            store=group.another_store("all-reduce"),
            rank=group.rank,
            world_size=group.size,
            timeout=timedelta(minutes=30),  # this examination ends earlier
        )
        try:
            trials = {f"{size} MB": all_reduce_once(size * 2**20, device) for size in SIZES_MB}
        finally:
            dist.destroy_process_group()
        return {"backend": backend, "processes": group.size, "trials": trials}

    def judge(self, measured: Sequence[Measured]) -> Finding:
        facts = measured[0].facts
        backend = facts["backend"]
        wrong = [one.who for one in measured if not all(trial["right"] for trial in one.facts["trials"].values())]
        if wrong:
            return failed(
                f"{backend}: wrong sums at {', '.join(wrong)}",
                "hardware or driver: exclude these nodes; for NCCL try NCCL_P2P_DISABLE=1",
            )
        speeds, last = [], 0.0
        for size in facts["trials"]:
            slowest = max(one.facts["trials"][size]["seconds"] for one in measured)
            share = 2 * (facts["processes"] - 1) / facts["processes"]
            last = share * float(size.split()[0]) * 2**20 / slowest / 1e9
            speeds.append(f"{size} in {1000 * slowest:.3g} ms ({last:.3g} GB/s)")
        found = f"{backend}, {facts['processes']} processes: sums right, {', '.join(speeds)}"
        if last < SLOW_GB_S[backend]:
            return warning(
                f"{found}: slow",
                "is this the fast network? Name it by launcher.profile's network_interface; NCCL_DEBUG=INFO shows the choice",
            )
        return ok(found)


def all_reduce_once(size: int, device: torch.device) -> dict[str, Any]:
    """{seconds: the quickest of some, right: whether every element is the sum}; float32 holds these whole numbers exactly."""
    rank, world = dist.get_rank(), dist.get_world_size()
    pattern = torch.arange(size // 4, device=device, dtype=torch.float32) % 1009
    expected = world * pattern + world * (world - 1) / 2
    seconds, right = [], True
    for _ in range(REPEATS):
        values = pattern + rank
        dist.barrier()
        synchronize(device)
        start = time.perf_counter()
        dist.all_reduce(values)
        synchronize(device)
        seconds.append(time.perf_counter() - start)
        right = right and torch.equal(values, expected)
    return {"seconds": min(seconds), "right": right}


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


UNDETECTED = ("bash", "interactive")
LITTLE_MEMORY_MB = 2048
"""Python with torch and CUDA takes that much before the first image."""


class SlurmLimits(Check):
    """What the SLURM job allows.

    Args:
        margin: run.margin: seconds before the end of the allocation at which a run saves.
        processes: That the trainer expects; None if no run is named.
    """

    name = "SLURM"
    remedy = "look whether scontrol show job works there"

    def __init__(self, margin: float, processes: int | None):
        self.margin = margin
        self.processes = processes

    def measure(self, group: Group) -> dict[str, Any]:
        job = os.environ.get("SLURM_JOB_ID")
        if job is None:
            raise NotApplicableError(
                "not within a job: `srun difflab doctor` examines one, launcher.doctor=true every job"
            )
        asked = (
            subprocess.run(
                ["scontrol", "show", "job", "-o", job], capture_output=True, encoding="utf-8", errors="replace"
            )
            if group.rank == 0
            else None
        )
        known = dict(re.findall(r"(\w+)=(\S*)", asked.stdout)) if asked is not None and asked.returncode == 0 else {}
        return {
            "job": job,
            "name": os.environ.get("SLURM_JOB_NAME", ""),
            "tasks": int(os.environ.get("SLURM_NTASKS", "1")),
            "per_node": "SLURM_NTASKS_PER_NODE" in os.environ,
            "processes": group.size,
            "started_by": group.started_by,
            "remaining": remaining_seconds(known.get("EndTime", "")),
            "end_known": "SLURM_JOB_END_TIME" in os.environ or "DIFFLAB_JOB" in os.environ,
            "limit": known.get("TimeLimit", ""),
            "requeue": known.get("Requeue"),
            "memory_mb": memory_per_process(group.local_size),
            "restarts": int(os.environ.get("SLURM_RESTART_COUNT", "0")),
        }

    def judge(self, measured: Sequence[Measured]) -> Finding:
        facts = measured[0].facts
        troubles: list[Finding] = []
        if facts["processes"] < facts["tasks"] and facts["started_by"] != "torchrun":
            seen = f"the job has {facts['tasks']} tasks, but {facts['processes']} process was started"
            troubles.append(failed(seen, "start the command by srun: Lightning would wait for the others for ever"))
        if facts["name"] in UNDETECTED and facts["started_by"] == "srun":
            seen = f"the job is called {facts['name']!r}, in which Lightning takes every process for the only one"
            troubles.append(failed(seen, "export SLURM_JOB_NAME=difflab before srun, or give the job a --job-name"))
        if facts["started_by"] == "srun" and facts["tasks"] > 1 and not facts["per_node"]:
            seen = "the job has its tasks by --ntasks alone"
            troubles.append(failed(seen, "Lightning needs sbatch --ntasks-per-node=N"))
        if facts["started_by"] == "srun" and self.processes not in (None, facts["processes"]):
            seen = f"srun has started {facts['processes']} processes, the configuration says {self.processes}"
            nodes = len({one.host for one in measured})
            remedy = f"trainer.num_nodes={nodes} trainer.devices={facts['processes'] // nodes}"
            troubles.append(failed(seen, remedy))
        if not facts["end_known"]:  # told by a signal, or by newer SLURMs in a variable
            remedy = f"submit it with --signal=USR1@{self.margin:.0f}, as slurm/train.sbatch does"
            troubles.append(warning("the run will not know when the job ends", remedy))
        remaining = facts["remaining"]
        if remaining is not None and remaining <= self.margin:
            seen = f"{remaining:.0f} s remain, of which run.margin={self.margin:g} are for saving"
            troubles.append(failed(seen, "a longer --time, or a smaller run.margin"))
        elif remaining is not None and remaining < 3 * self.margin:
            seen = f"{remaining:.0f} s remain, and run.margin={self.margin:g} of each start are for saving"
            troubles.append(warning(seen, "a longer --time"))
        if facts["requeue"] == "0":
            troubles.append(
                warning(
                    "the job may not be started again",
                    "sbatch --requeue: else it ends at its time limit or when it is preempted",
                )
            )
        if facts["memory_mb"] is not None and facts["memory_mb"] < LITTLE_MEMORY_MB:
            seen = f"{facts['memory_mb']} MB of memory for each process"
            troubles.append(
                warning(
                    seen, f"torch alone takes about {LITTLE_MEMORY_MB} MB: a larger --mem (launcher.memory_per_node)"
                )
            )
        left = "an unknown time" if remaining is None else f"{remaining / 3600:.3g} h"
        memory = (
            "all of the node's memory"
            if facts["memory_mb"] is None
            else f"{facts['memory_mb'] / 1024:.3g} GB per process"
        )
        again = "starts again when interrupted" if facts["requeue"] == "1" else "starting again is unknown"
        restarts = f", started again {facts['restarts']} times" if facts["restarts"] else ""
        return worst(
            troubles,
            ok(f"job {facts['job']}: {left} left of {facts['limit'] or '?'}, {memory}, {again}{restarts}"),
        )


def remaining_seconds(end: str) -> float | None:
    """Until the end of the allocation as the job's environment says, or scontrol (2026-01-31T12:00:00); None if it is not known."""
    with contextlib.suppress(KeyError):
        return float(os.environ["SLURM_JOB_END_TIME"]) - time.time()
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(end).timestamp() - time.time()
    return None


def memory_per_process(local_processes: int) -> int | None:
    """MB that SLURM gives each process; None if it sets no limit."""
    per_node, per_cpu = int(os.environ.get("SLURM_MEM_PER_NODE", "0")), int(os.environ.get("SLURM_MEM_PER_CPU", "0"))
    if per_node:
        return per_node // local_processes
    if per_cpu:
        return per_cpu * int(os.environ.get("SLURM_CPUS_PER_TASK", "1"))
    return None
