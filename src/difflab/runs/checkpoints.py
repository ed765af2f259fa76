"""Checkpoints: whole or absent."""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

_log = logging.getLogger(__name__)


class Checkpoints(Checkpoint):
    """Saves every `every` steps and at the end, keeps the last few, the best and milestones.

    A checkpoint is written beside its place, flushed to the disk and then renamed, so a file of that name is always a whole one. It is
    a zip archive whose entries carry checksums; `newest` verifies them.

    directory    of the files: step-00000500.ckpt, best.ckpt
    every        optimizer steps between checkpoints
    keep_last    how many of them are kept
    milestone    every so many steps one is kept for good; 0 for none
    monitor      metric whose lowest value makes best.ckpt; "" for none
    evaluated_every   steps between evaluations: a checkpoint of the same step waits for the evaluation, so that a restart does not
                 repeat or miss it
    """

    def __init__(
        self, directory: str | Path, every: int, keep_last: int, milestone: int, monitor: str, evaluated_every: int
    ):
        if every < 1 or keep_last < 1:
            raise ValueError(f"checkpoint.every={every} and checkpoint.keep_last={keep_last} must be at least 1")
        self.directory = Path(directory)
        self.every = every
        self.keep_last = keep_last
        self.milestone = milestone
        self.monitor = monitor
        self.evaluated_every = evaluated_every
        self.best = float("inf")
        self._saved_step = -1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._saved_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if step != self._saved_step and self._due(trainer) and step % self.evaluated_every:
            self._save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        score = trainer.callback_metrics.get(self.monitor)
        better = score is not None and float(score) < self.best
        if better:
            self.best = float(score)  # type: ignore[arg-type]
        if better or self._due(trainer):
            path = self._save(trainer)
            if better and trainer.is_global_zero:
                _link(path, self.directory / "best.ckpt")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step != self._saved_step:
            self._save(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def _due(self, trainer: pl.Trainer) -> bool:
        step = trainer.global_step
        return step % self.every == 0 or step == trainer.max_steps

    def _save(self, trainer: pl.Trainer) -> Path:
        path = self.directory / f"step-{trainer.global_step:08d}.ckpt"
        aside = path.with_suffix(".tmp")
        for logger in trainer.loggers:
            logger.save()
        trainer.save_checkpoint(aside, weights_only=False)
        if trainer.is_global_zero:
            _flush(aside)
            os.replace(aside, path)
            _flush(self.directory)
            self._discard_old()
        self._saved_step = trainer.global_step
        return path

    def _discard_old(self) -> None:
        milestones = {path for path in _saved(self.directory) if self.milestone and _step(path) % self.milestone == 0}
        for path in _saved(self.directory)[: -self.keep_last]:
            if path not in milestones:
                path.unlink()


def newest(directory: str | Path) -> Path | None:
    """The newest checkpoint that verifies. A damaged one is named in a warning and left where it is."""
    for path in reversed(_saved(Path(directory))):
        if is_whole(path):
            return path
        _log.warning("%s is damaged and is not used", path)
    return None


def is_whole(path: Path) -> bool:
    """Whether every entry of the archive agrees with its checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError):
        return False


def _saved(directory: Path) -> list[Path]:
    return sorted(directory.glob("step-*.ckpt"), key=_step)


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _link(path: Path, name: Path) -> None:
    """A second name for the file that outlives the first; a copy where the file system has no links."""
    aside = name.with_suffix(".tmp")
    aside.unlink(missing_ok=True)
    try:
        os.link(path, aside)
    except OSError:
        shutil.copyfile(path, aside)
    os.replace(aside, name)
