"""Averages kept during training, from which post-hoc EMA is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from difflab.ema import PostHoc
from difflab.runs.export import export_weights, read_exported


class SnapshotCallback(pl.Callback):
    """Writes every average that post-hoc EMA can combine at intervals to <directory>/step-<step>-std-<std>.safetensors.

    Lightning's restart from a checkpoint writes the same files again; they are the same to the bit.

    every       optimizer steps between snapshots; 0 for none
    directory   where they go
    config      the run's configuration, for the files' headers
    """

    def __init__(self, every: int, directory: str | Path, config: str):
        self.every = every
        self.directory = Path(directory)
        self.config = config
        self._seen_step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._seen_step = trainer.global_step

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._write(trainer, pl_module)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        # at the start of the next step the averages have taken in the last one
        self._write(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._write(trainer, pl_module)

    def _write(self, trainer: pl.Trainer, pl_module: Any) -> None:
        step = trainer.global_step
        if step == self._seen_step:
            return
        self._seen_step = step
        if not self.every or (step % self.every and step != trainer.max_steps):
            return
        tracks = pl_module.ema.tracks
        for name, averaging in tracks.averagings.items():
            if averaging.snapshot_std is not None:
                path = self.directory / f"step-{step:08d}-std-{averaging.snapshot_std:g}.safetensors"
                average = tracks.whole(name)  # every process takes part
                if trainer.is_global_zero:
                    export_weights(path, average, name, step, self.config)


def reconstruct(directory: str | Path, std: float) -> tuple[dict[str, Tensor], int]:
    """The average of the wanted length at the last snapshot's step, and that step."""
    paths = sorted(Path(directory).glob("step-*-std-*.safetensors"))
    if not paths:
        raise ValueError(
            f"there are no snapshots in {directory}: train with 'ema=[power_function]' (better with two lengths) and "
            "ema_snapshots.every > 0 to reconstruct averages afterwards"
        )
    steps = [int(path.stem.split("-")[1]) for path in paths]
    stds = [float(path.stem.split("-")[3]) for path in paths]
    posthoc = PostHoc(std)
    coefficients = posthoc.coefficients(steps, stds, max(steps))
    return posthoc.combine([read_exported(path)[0] for path in paths], coefficients), max(steps)
