"""The watcher that logs how much was done, and how fast."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl


class ThroughputCallback(pl.Callback):
    """Logs images seen, images per second since the last line, the share of that time spent waiting for data, and the learning rate.

    The time is the wall clock's, between optimizer steps: computing, averaging and waiting for data are in it, evaluations and the
    writing of checkpoints are not. The line of the log is written as soon as everything that belongs to it is known.

    Args:
        batch_size: Images per optimizer step.
        log_every: Optimizer steps between lines.
        waited: Seconds that training has waited for data so far, a count that only rises.
        saved: Seconds that were spent on writing checkpoints so far, likewise.
    """

    def __init__(
        self,
        batch_size: int,
        log_every: int,
        waited: Callable[[], float] = lambda: 0.0,
        saved: Callable[[], float] = lambda: 0.0,
    ):
        self.batch_size = batch_size
        self.log_every = log_every
        self._waited, self._saved = waited, saved
        self._seen_step = self._line_step = 0
        self._evaluated = self._evaluation_began = 0.0
        self._line = self._now()
        self._due = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._seen_step = self._line_step = trainer.global_step
        self._evaluated = 0.0
        self._line = self._now()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._due:  # by now every callback has added to the line of the last step
            self._due = False
            for logger in trainer.loggers:
                logger.save()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._seen_step:  # within an accumulation
            return
        self._seen_step = trainer.global_step
        if trainer.global_step % self.log_every:
            return
        seconds, waited = (now - before for now, before in zip(self._now(), self._line, strict=True))
        metrics = {
            "images": float(trainer.global_step * self.batch_size),
            "images_per_second": (trainer.global_step - self._line_step) * self.batch_size / max(seconds, 1e-9),
            "data_wait_share": waited / max(seconds, 1e-9),
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
        }
        self._line, self._line_step, self._due = self._now(), trainer.global_step, True
        for logger in trainer.loggers:
            logger.log_metrics({f"train/{name}": value for name, value in metrics.items()}, step=trainer.global_step)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._evaluation_began = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._evaluated += time.monotonic() - self._evaluation_began

    def _now(self) -> tuple[float, float]:
        """Seconds of training, and those of them that were spent waiting for data, on clocks that stand while others are at work."""
        return time.monotonic() - self._evaluated - self._saved(), self._waited()
