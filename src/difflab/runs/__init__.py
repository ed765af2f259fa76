"""Identity of a run, its directory, checkpoints, resume, provenance."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.runs.checkpoints import AtomicCheckpointIO, CheckpointError, Checkpoints, LockCallback
    from difflab.runs.directory import RunDirectory
    from difflab.runs.identity import identity
    from difflab.runs.info import info
    from difflab.runs.listing import attempt_directory
    from difflab.runs.lock import RunBusyError, RunLock, RunLostError
    from difflab.runs.metrics_file import read_metrics
    from difflab.runs.metrics_log import MetricsLog
    from difflab.runs.provenance import provenance
    from difflab.runs.saved_checkpoints import newest, roll_back, rollback_count

__all__ = [
    "AtomicCheckpointIO",
    "CheckpointError",
    "Checkpoints",
    "LockCallback",
    "MetricsLog",
    "RunBusyError",
    "RunDirectory",
    "RunLock",
    "RunLostError",
    "attempt_directory",
    "identity",
    "info",
    "newest",
    "provenance",
    "read_metrics",
    "roll_back",
    "rollback_count",
]

on_demand(__name__)
