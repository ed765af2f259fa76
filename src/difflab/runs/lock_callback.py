"""A run that is renamed, removed or taken over while it is trained."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from difflab.runs.lock import RunLock


class LockCallback(pl.Callback):
    """Ends training within a second or two once the run is not this process's any more.

    It would otherwise train on for hours and save into a directory that nobody looks for, or beside another process.
    """

    def __init__(self, lock: RunLock):
        """A callback that does nothing on processes that have not acquired the lock.

        Args:
            lock: Of the run.
        """
        self.lock = lock

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.lock.check()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.lock.check()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.lock.check()
