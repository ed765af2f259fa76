"""The watcher that logs how much was done, and how fast."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl


class ThroughputCallback(pl.Callback):
    """Logs images seen, images per second since the last line (evaluations and saving left out), and the learning rate.

    batch_size   images per optimizer step
    log_every    optimizer steps between lines
    """

    def __init__(self, batch_size: int, log_every: int):
        self.batch_size = batch_size
        self.log_every = log_every
        self._seen_step = 0
        self._seconds = 0.0
        self._steps = 0
        self._began = 0.0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._began = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._seen_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._seconds += time.monotonic() - self._began
        if trainer.global_step == self._seen_step:
            return
        self._steps += trainer.global_step - self._seen_step
        self._seen_step = trainer.global_step
        if trainer.global_step % self.log_every:
            return
        metrics = {
            "images": float(trainer.global_step * self.batch_size),
            "images_per_second": self._steps * self.batch_size / max(self._seconds, 1e-9),
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
        }
        self._seconds, self._steps = 0.0, 0
        for logger in trainer.loggers:
            logger.log_metrics({f"train/{name}": value for name, value in metrics.items()}, step=trainer.global_step)
