"""When checkpoints are written, whole or not at all, and which are kept."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import Checkpoint

from difflab.files import atomic_file, link, room
from difflab.runs.lock import RunLock
from difflab.runs.saved_checkpoints import MARK, mark_of, saved, step_of
from difflab.runtime import Interrupted, Interruption
from difflab.runtime.signals import EVALUATING, LAST_EVALUATION, TRAINING, WRITING, signals


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


STOPPED = "difflab_stopped"
"""Entry of a checkpoint: whether a callback had ended training early. Earlier versions wrote none."""


class Checkpoints(Checkpoint):
    """Saves every `every` steps, at the end and when training is interrupted; keeps the last few, the best and milestones.

    Lightning runs callbacks of this class after all others, so that a checkpoint holds what they have done with the step. That one of them
    has ended training early, as EarlyStopping does, is part of it: a run that is killed between that and its end does not go on training.

    Attributes:
        directory: Of the files: step-00000500.ckpt, best.ckpt.
        every: Optimizer steps between checkpoints.
        keep_last: How many of them are kept.
        milestone: Every so many steps one is kept for good; 0 for none.
        monitor: Metric whose lowest value makes best.ckpt.
        evaluated_every: Steps between evaluations: a checkpoint of the same step waits for the evaluation, so that a restart neither
            repeats nor misses it.
        interruption: What may tell training to stop.
        between_steps: Errors that come before a step has begun, as of data that cannot be read: the step before is saved. (Of several
            processes only some see it, and the others cannot help to save.).
        seconds: How long checkpoints have taken so far: those that are written in the background take next to nothing.
    """

    def __init__(
        self,
        directory: str | Path,
        every: int,
        keep_last: int,
        milestone: int,
        monitor: str,
        evaluated_every: int,
        interruption: Interruption,
        between_steps: tuple[type[Exception], ...] = (),
    ):
        if every < 1 or keep_last < 1:
            raise ValueError(f"checkpoint.every={every} and checkpoint.keep_last={keep_last} must be at least 1")
        if evaluated_every < 1:
            raise ValueError(f"eval.every={evaluated_every} must be at least 1; the last step is evaluated in any case")
        self.directory = Path(directory)
        self.every = every
        self.keep_last = keep_last
        self.milestone = milestone
        self.monitor = monitor
        self.evaluated_every = evaluated_every
        self.interruption = interruption
        self.between_steps = between_steps
        self.best = float("inf")
        self.seconds = 0.0
        self._stopped = False
        self._best_to_link: Path | None = None
        self._seen_step = 0
        self._saved_step = -1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._seen_step = self._saved_step = trainer.global_step
        if trainer.is_global_zero:
            self._discard_old()
        self.interruption.connect()
        if self.interruption.signalled():
            signals.enter(WRITING)
            raise Interrupted(f"{self._why()} before its first step")
        trainer.should_stop = trainer.should_stop or self._stopped

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if step == self._seen_step:  # within an accumulation
            return
        self._seen_step = step
        if step % self.evaluated_every and step != trainer.max_steps and not trainer.should_stop:
            self._after_step(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        last = trainer.global_step >= trainer.max_steps or trainer.should_stop
        signals.enter(LAST_EVALUATION if last else EVALUATING)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if signals.stage is EVALUATING:
            signals.enter(TRAINING)
        score = trainer.callback_metrics.get(self.monitor)
        if score is not None and float(score) < self.best:
            self.best = float(score)
            self._save(trainer, is_best=True)
        self._after_step(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._save(trainer)
        signals.enter(WRITING)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if isinstance(exception, self.between_steps) and trainer.world_size == 1 and self._is_between_steps(trainer):
            self._save(trainer)
        signals.enter(WRITING)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._link_best(trainer)
        if trainer.is_global_zero:
            self._discard_old()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[MARK] = mark_of(self.directory)
        checkpoint[STOPPED] = ended_early(trainer)
        # Lightning counts this one later, and does not make up for it at a restart: its monitors' steps would fall behind
        checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"] = trainer.global_step

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._stopped = checkpoint.get(STOPPED, False)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def _is_between_steps(self, trainer: pl.Trainer) -> bool:
        """Whether at least one step was done, and none has begun since."""
        batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
        whole = batches.ready == batches.processed and batches.processed % trainer.accumulate_grad_batches == 0
        return trainer.training and whole and trainer.global_step > 0

    def _after_step(self, trainer: pl.Trainer) -> None:
        if trainer.global_step % self.every == 0:
            self._save(trainer)
        if self.interruption.requested() and trainer.global_step < trainer.max_steps and not trainer.should_stop:
            signals.enter(WRITING)
            self._save(trainer)
            raise Interrupted(f"{self._why()} at step {trainer.global_step} and saved")

    def _why(self) -> str:
        return self.interruption.reason() or "another process that was told to stop"

    def _save(self, trainer: pl.Trainer, is_best: bool = False) -> None:
        if trainer.global_step == self._saved_step and not is_best:
            return
        path = self.directory / f"step-{trainer.global_step:08d}.ckpt"
        began = time.monotonic()
        self._link_best(trainer)
        if trainer.global_step != self._saved_step:
            trainer.loggers[0].save()  # metrics.jsonl: no line of it may be missing that the checkpoint has behind it
            trainer.save_checkpoint(path, weights_only=False)
            self._saved_step = trainer.global_step
        if is_best:
            self._best_to_link = path
            self._link_best(trainer)  # before a mirror looks which one is the best
        for mirror in trainer.loggers[1:]:
            mirror.save()
        if trainer.is_global_zero:
            self._discard_old()
        self.seconds += time.monotonic() - began

    def _discard_old(self) -> None:
        """Keeps the last few of those that are on the disk.

        One that is still being written in the background does not count yet, so there are never fewer.
        """
        for path in saved(self.directory)[: -self.keep_last]:
            is_milestone = self.milestone and step_of(path) % self.milestone == 0
            if not is_milestone and path != self._best_to_link:
                path.unlink()

    def _link_best(self, trainer: pl.Trainer) -> None:
        """best.ckpt becomes a second name of the best checkpoint as soon as that is written, perhaps in the background."""
        if self._best_to_link is None or not trainer.is_global_zero or not self._best_to_link.exists():
            return
        link(self._best_to_link, self.directory / "best.ckpt")
        self._best_to_link = None


def ended_early(trainer: pl.Trainer) -> bool:
    """Whether a callback has ended training before its last step."""
    return trainer.should_stop and trainer.global_step < trainer.max_steps


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
