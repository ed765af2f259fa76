"""What whoever started a process says of its place among those of the command; known before the processes know each other."""

from __future__ import annotations

import os

from difflab.child_processes import end_with_parent

PARENT = "DIFFLAB_PARENT"
"""Variable that names the process by which this one may have been started."""


def launched_rank() -> int:
    """The number of this process among those of the command."""
    return int(next((os.environ[key] for key in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if key in os.environ), "0"))


def is_beside_first() -> bool:
    """Whether another process of the command has started this one: Lightning does, where neither torchrun nor srun has started them all."""
    started_by_others = "TORCHELASTIC_RUN_ID" in os.environ or "SLURM_PROCID" in os.environ
    return not started_by_others and os.environ.get("LOCAL_RANK", "0") != "0"


def end_with_first() -> None:
    """Has a process that the first one has started end with it, also while they do not know each other yet. Those that torchrun or srun
    have started are watched by these."""
    if is_beside_first() and PARENT in os.environ:
        end_with_parent(parent=int(os.environ[PARENT]))
    os.environ[PARENT] = str(os.getpid())
