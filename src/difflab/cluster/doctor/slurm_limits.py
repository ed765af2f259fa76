"""What SLURM will do with this job: time, memory, another start, and whether its processes will find each other."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from difflab.cluster.doctor.check import Check, Finding, Measured, NotApplicableError, failed, ok, warning, worst
from difflab.distributed.group import Group

UNDETECTED = ("bash", "interactive")
LITTLE_MEMORY_MB = 2048
"""Python with torch and CUDA takes that much before the first image."""


class SlurmLimits(Check):
    """margin      run.margin: seconds before the end of the allocation at which a run saves
    processes   that the trainer expects; None if no run is named
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
