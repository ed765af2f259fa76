"""What training says of itself: to a person in a line that renews itself, to the log as throughput."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console

from difflab.formatting import number
from difflab.runtime.progress import Progress, Task

SILENCE = 1800.0
"""Seconds after which there is a line in any case, where there is no terminal."""

WINDOW = 20
"""Intervals of the log over which the speed is taken."""


class ProgressCallback(ProgressBar):
    """Steps, loss, time per step, images per second and the time left: from the first step on, then whenever the log has a new loss.

    In a terminal it is one line that renews itself, and the step goes on in it meanwhile. Elsewhere it is a line for the first step, and
    then one for every hundredth of the steps, or half an hour. The loss is that of the log (train/loss), which has been averaged over
    the processes already: nothing here waits for a device. The time that is left counts the evaluations still to come, each as long as
    the last one, once there was one. (Lightning's own bars count the batches of an epoch, and an endless stream has none.)

    Args:
        batch_size: Images per optimizer step.
        log_every: Optimizer steps between losses.
        console: Where; None for the standard output.
    """

    def __init__(self, batch_size: int, log_every: int, console: Console | None = None):
        super().__init__()
        self.batch_size = batch_size
        self.log_every = log_every
        self._console = console
        self._enabled = True
        self._open = ExitStack()
        self._display = Progress(shown=False)
        self._task: Task | None = None
        self._marks: list[tuple[int, float]] = []  # (step, time) since which nothing but training was done
        self._seen_step = 0
        self._due = self._first = False
        self._step_s: float | None = None
        self._evaluation_s: float | None = None

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._seen_step, self._first, self._due = trainer.global_step, True, False
        self._marks.clear()
        self._display = Progress(self._enabled and trainer.is_global_zero, self._console)
        self._open = ExitStack()
        self._task = self._open.enter_context(
            self._display.task("training", trainer.max_steps, done=None, unit="steps")
        )
        self._task.done = self._printed_step = trainer.global_step
        self._printed_at = time.monotonic()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if not self._marks:  # the workers that load images have begun
            self._marks.append((trainer.global_step, time.monotonic()))
        # the objective, which comes after the other callbacks, has by now averaged the loss over all processes
        self._show(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._seen_step:  # within an accumulation
            return
        self._seen_step = trainer.global_step
        self._due = self._first or trainer.global_step % self.log_every == 0
        if self._task is not None and self._display.is_live:
            self._task.done = trainer.global_step
            self._say_left(trainer, self._task)
            self._task.draw()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._show(trainer, pl_module)
        self._evaluation_began = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._evaluation_s = time.monotonic() - self._evaluation_began
        self._marks = [(step, when + self._evaluation_s) for step, when in self._marks]

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._show(trainer, pl_module)
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._close()

    def print(self, *args: Any, **kwargs: Any) -> None:
        self._display.say(" ".join(map(str, args)))

    def _close(self) -> None:
        self._open.close()
        self._task = None

    def _show(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """The loss of the line of the log that was written last, or of the first step, and how fast it goes."""
        if not self._due or self._task is None:
            return
        self._due = False
        step, now = trainer.global_step, time.monotonic()
        (since, began), task = self._marks[0], self._task
        seconds = (now - began) / max(step - since, 1)
        # the first step is slower than others: from now on they alone count
        self._marks = [(step, now)] if self._first else [*self._marks, (step, now)][-WINDOW:]
        task.done = step
        task.details = (
            f"loss {pl_module.objective.mean_loss:.4f}",
            f"{number(1000 * seconds)} ms/step",
            f"{number(self.batch_size / max(seconds, 1e-9))} images/s",
        )
        self._step_s = seconds
        self._say_left(trainer, task)
        task.draw()
        far = step - self._printed_step >= trainer.max_steps / 100
        if self._first or far or now - self._printed_at >= SILENCE or step == trainer.max_steps:
            self._printed_step, self._printed_at = step, now
            self._display.tell(f"step {step}/{trainer.max_steps}: {', '.join([*task.details, *task.time_left])}")
        self._first = False

    def _say_left(self, trainer: pl.Trainer, task: Task) -> None:
        evaluations = self._evaluations_left(trainer)
        if self._step_s is not None:
            task.left = self._step_s * (trainer.max_steps - trainer.global_step) + evaluations * (
                self._evaluation_s or 0.0
            )
        unknown = evaluations if self._evaluation_s is None else 0
        task.besides = f" + {unknown} evaluation{'s' if unknown > 1 else ''}" if unknown else ""

    def _evaluations_left(self, trainer: pl.Trainer) -> int:
        every = trainer.val_check_interval
        if not isinstance(every, int) or not trainer.limit_val_batches:
            return 0
        every = max(every // trainer.accumulate_grad_batches, 1)
        return -(-trainer.max_steps // every) - trainer.global_step // every


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
