"""Identity of a run, its directory, checkpoints, resume, provenance."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.runs.attempts import attempt_directory
    from difflab.runs.checkpoint_io import AtomicCheckpointIO, CheckpointError
    from difflab.runs.checkpoints import Checkpoints
    from difflab.runs.detours import detour_count, go_back
    from difflab.runs.directory import RunDirectory
    from difflab.runs.identity import identity
    from difflab.runs.info import info
    from difflab.runs.lock import RunBusyError, RunLock, RunLostError
    from difflab.runs.lock_callback import LockCallback
    from difflab.runs.metrics_file import read_metrics
    from difflab.runs.metrics_log import MetricsLog
    from difflab.runs.mirror import Mirror
    from difflab.runs.provenance import provenance
    from difflab.runs.saved_checkpoints import newest
    from difflab.runs.snapshots import SnapshotCallback, reconstruct
    from difflab.runs.wandb_login import WandbError
    from difflab.runs.wandb_sync import RunUpload, Uploads, sync

__all__ = [
    "AtomicCheckpointIO",
    "CheckpointError",
    "Checkpoints",
    "LockCallback",
    "MetricsLog",
    "Mirror",
    "RunBusyError",
    "RunDirectory",
    "RunLock",
    "RunLostError",
    "RunUpload",
    "SnapshotCallback",
    "Uploads",
    "WandbError",
    "attempt_directory",
    "detour_count",
    "go_back",
    "identity",
    "info",
    "newest",
    "provenance",
    "read_metrics",
    "reconstruct",
    "sync",
]

on_demand(__name__)
