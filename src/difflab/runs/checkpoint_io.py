"""Checkpoint files: whole or absent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from difflab.files import atomic_file, room


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
        try:
            with atomic_file(path) as aside:
                torch.save(checkpoint, aside)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            raise CheckpointError(
                f"could not write {path} ({room(path)}): {' '.join(str(error).split())[:200]}. Earlier "
                "checkpoints are intact: mend this (free space? permissions?) and run the same command again"
            ) from error
