"""The watcher that tells a person how far training is."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from difflab.ema import youth


class ProgressCallback(ProgressBar):
    """A bar over the optimizer steps with loss, images per second and time left; a line per log interval where there is no terminal.

    Lightning's own bars count the batches of an epoch, and an endless stream has none.

    batch_size   images per optimizer step
    log_every    optimizer steps between looks at the loss
    """

    def __init__(self, batch_size: int, log_every: int):
        super().__init__()
        self.batch_size = batch_size
        self.log_every = log_every
        self._console = Console()
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._paused_s = 0.0
        self._first_step = self._seen_step = 0
        self._enabled, self._due = True, False

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._first_step, self._began, self._paused_s = trainer.global_step, time.monotonic(), 0.0
        self._seen_step = trainer.global_step
        if not self._enabled or not trainer.is_global_zero or not self._console.is_terminal:
            return
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("[cyan]loss {task.fields[loss]}  {task.fields[speed]} images/s"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            speed_estimate_period=120,
        )
        self._task = self._progress.add_task(
            "training", total=trainer.max_steps, completed=trainer.global_step, loss="-", speed="-"
        )
        self._progress.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._seen_step:  # within an accumulation
            return
        self._seen_step = trainer.global_step
        self._due = trainer.global_step % self.log_every == 0
        if self._progress is not None:
            self._progress.update(self._task, completed=trainer.global_step)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        # the objective, which comes after the watchers, has by now averaged the loss over all processes
        self._show(trainer, pl_module)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._show(trainer, pl_module)
        self._evaluation_began = time.monotonic()
        if self._progress is None and self._enabled and trainer.is_global_zero:
            print(f"step {trainer.global_step}: evaluating", flush=True)
        if self._progress is not None:
            self._progress.update(self._task, description="evaluating")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._paused_s += time.monotonic() - self._evaluation_began
        if not self._enabled or not trainer.is_global_zero:
            return
        scores = [
            f"{name} {float(value):.4g}" for name, value in trainer.callback_metrics.items() if name.startswith("eval/")
        ]
        averages = pl_module.ema.tracks.averagings.items()
        evaluated = {score.split("/")[1] for score in scores}
        said = (youth(name, averaging, trainer.global_step) for name, averaging in averages if name in evaluated)
        for line in ("  ".join(scores), *filter(None, said)):
            self._say(f"step {trainer.global_step}: {line}")
        if self._progress is not None:
            self._progress.update(self._task, description="training")

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._show(trainer, pl_module)
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()

    def print(self, *args: Any, **kwargs: Any) -> None:
        self._console.print(*args)

    def _say(self, line: str) -> None:
        """A line above the bar, or where there is none."""
        if self._progress is None:
            print(line)
        else:
            self._progress.console.print(line, highlight=False)

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _show(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """The loss and speed of the line of the log that was written last."""
        if not self._due:
            return
        self._due = False
        loss, speed = f"{pl_module.objective.mean_loss:.4f}", self._speed(trainer)
        if self._progress is not None:
            self._progress.update(self._task, loss=loss, speed=speed)
        elif self._enabled and trainer.is_global_zero:
            print(f"step {trainer.global_step}/{trainer.max_steps}  loss {loss}  {speed} images/s")

    def _speed(self, trainer: pl.Trainer) -> str:
        seconds = time.monotonic() - self._began - self._paused_s
        return f"{(trainer.global_step - self._first_step) * self.batch_size / max(seconds, 1e-9):.0f}"
