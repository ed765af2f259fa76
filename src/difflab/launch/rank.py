"""What whoever started a process says of its place among those of the command; known before the processes know each other."""

from __future__ import annotations

import os


def launched_rank() -> int:
    """The number of this process among those of the command."""
    return int(next((os.environ[key] for key in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if key in os.environ), "0"))


def is_beside_first() -> bool:
    """Whether another process of the command has started this one: Lightning does, where neither torchrun nor srun has started them all."""
    started_by_others = "TORCHELASTIC_RUN_ID" in os.environ or "SLURM_PROCID" in os.environ
    return not started_by_others and os.environ.get("LOCAL_RANK", "0") != "0"
