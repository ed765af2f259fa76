"""Checkpoint files: whole or absent."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO


class CheckpointError(RuntimeError):
    """A checkpoint could not be written; what was saved before is intact."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place, flushes it to the disk and renames it, so a file of that name is always a whole one.

    The file is a zip archive whose entries carry checksums. Wrapped in Lightning's AsyncCheckpointIO, training does not wait for it.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        path = Path(path)
        aside = path.with_name(path.name + ".tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with aside.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
            _flush_directory(path.parent)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            free = shutil.disk_usage(
                next(p for p in path.parents if p.exists())
            ).free  # torch does not pass on that there is no space
            aside.unlink(missing_ok=True)
            raise CheckpointError(
                f"could not write {path} ({free / 1e6:.1f} MB were left on the disk): {' '.join(str(error).split())[:200]}. Earlier "
                "checkpoints are intact: mend this (free space? permissions?) and run the same command again"
            ) from error


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
