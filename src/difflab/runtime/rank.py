"""What whoever started a process says of its place among those of the command; known before the processes know each other."""

from __future__ import annotations

import os
from datetime import timedelta

from difflab.runtime.child_processes import end_with_parent

SLACK = timedelta(seconds=30)
"""By how much longer than a strategy's timeout torch waits: it cannot say for whom, and says so on a page of C++."""

PARENT = "DIFFLAB_PARENT"
"""Variable that names the process by which this one may have been started."""


def in_step() -> bool:
    """Whether srun has started this process beside others. (A shell that srun has given a terminal is alone.)"""
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    return "SLURM_STEP_ID" in os.environ and "SLURM_PTY_PORT" not in os.environ and int(tasks) > 1


def launched_rank() -> int:
    """The number of this process among those of the command."""
    if in_step() and "TORCHELASTIC_RUN_ID" not in os.environ:
        return int(os.environ["SLURM_PROCID"])
    return int(next((os.environ[key] for key in ("RANK", "LOCAL_RANK") if key in os.environ), "0"))


def launched_together() -> bool:
    """Whether torchrun or srun has started this process beside others."""
    return in_step() or ("TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1)


def is_beside_first() -> bool:
    """Whether another process of the command has started this one: Lightning does, where neither torchrun nor srun has started them all."""
    started_by_others = "TORCHELASTIC_RUN_ID" in os.environ or in_step()
    return not started_by_others and os.environ.get("LOCAL_RANK", "0") != "0"


def end_with_first() -> None:
    """Has a process that the first one has started end with it, also while they do not know each other yet. Those that torchrun or srun
    have started are watched by these."""
    if is_beside_first() and PARENT in os.environ:
        end_with_parent(parent=int(os.environ[PARENT]))
    os.environ[PARENT] = str(os.getpid())
