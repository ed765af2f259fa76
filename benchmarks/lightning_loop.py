"""Lightning's loop: with all that difflab's command puts around it, and with nothing."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from torch import Tensor

from benchmarks.bare_loop import BareLoop, PlainTorch
from benchmarks.loop_task import Task
from difflab.evaluation import ScoresCallback, TrackEvaluation
from difflab.runs import Checkpoints, LockCallback, MetricsLog, RunDirectory, RunLock
from difflab.runtime import Interruption
from difflab.runtime.console import quiet_lightning
from difflab.training import DiffusionModule
from difflab.training.callbacks import DivergenceCallback, ProgressCallback, Stop, ThroughputCallback
from difflab.training.run.pulse import Pulse
from difflab.training.run.trainer import SnapshotCallback

NEVER = 10**9


class Enough(Exception):
    """Ends a training where nothing is to be saved or evaluated."""


class Stopwatch(pl.Callback):
    """Seconds per step from the beginning of step 2 to that of step `steps` + 2, data, log and averages included; then it is enough.

    at_last  called when that is known
    """

    def __init__(self, steps: int, at_last: Callable[[pl.Trainer], None]):
        self.steps = steps
        self.at_last = at_last
        self.seconds = 0.0
        self._began = 0.0

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step not in (1, self.steps + 1):
            return
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)
        if trainer.global_step == 1:
            self._began = time.perf_counter()
        else:
            self.seconds = (time.perf_counter() - self._began) / self.steps
            self.at_last(trainer)
            raise Enough


class NoJudge(TrackEvaluation):
    """Evaluations take the time that they take; the loop is told of them alone."""

    def check_model(self, pl_module: Any) -> None:
        pass

    def scores(self, trainer: pl.Trainer, pl_module: Any, track: str) -> dict[str, float]:
        return {}


def watchers(config: Any, run: RunDirectory, lock: RunLock) -> list[pl.Callback]:
    """Those of a training."""
    every = config.trainer.log_every_n_steps
    return [
        LockCallback(lock),
        Pulse(timedelta(minutes=config.strategy.get("timeout", 30))),
        NoJudge([]),
        DivergenceCallback(Stop(), run.diverged, every),
        ThroughputCallback(config.data.batch_size, every),
        ProgressCallback(config.data.batch_size, every),
        ScoresCallback({}, ""),
        SnapshotCallback(0, run.snapshots, ""),
        Checkpoints(
            run.checkpoints, NEVER, 1, 0, "eval/none", NEVER, Interruption("", 0, config.strategy.get("timeout", 30))
        ),
    ]


class DifflabLoop:
    """What `python train.py` does between evaluations.

    folder          of the run
    log_every       optimizer steps between lines of the log
    checkpoint_io   a choice of conf/checkpoint_io
    """

    def __init__(
        self,
        task: Task,
        module: DiffusionModule,
        device: torch.device,
        folder: Path,
        log_every: int = NEVER,
        checkpoint_io: str = "atomic",
    ):
        self.task = task
        self.module = module
        self.device = device
        self.run = RunDirectory(folder)
        self.config = task.config(f"trainer.log_every_n_steps={log_every}", f"checkpoint_io={checkpoint_io}")
        module.objective.log_every = log_every

    def __call__(self, steps: int, at_last: Callable[[pl.Trainer], None] = lambda _: None) -> float:
        """Seconds per step, of so many steps after one that does not count; then `at_last` may do something with the trainer."""
        log = MetricsLog(self.run.metrics)
        watch, lock = Stopwatch(steps, at_last), RunLock(self.run.path)
        lock.acquire()
        try:
            callbacks = watchers(self.config, self.run, lock)
            return _fitted(self.config, self.module, self.task, self.device, watch, callbacks, [log])
        finally:
            lock.release()


class LightningAlone:
    """Lightning's loop around the plain loss, without callback or logger."""

    def __init__(self, task: Task, module: DiffusionModule, device: torch.device):
        self.task = task
        self.loop = PlainTorch(task, module, device)
        self.config = task.config()

    def __call__(self, steps: int) -> float:
        watch = Stopwatch(steps, lambda _: None)
        return _fitted(self.config, _Alone(self.loop), self.task, self.loop.device, watch, [], [])


class _Alone(pl.LightningModule):
    """What Lightning asks for, and no more."""

    def __init__(self, loop: BareLoop):
        super().__init__()
        self.network = loop.module.model
        self._loop = loop.loss, loop.optimizer

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._loop[0]()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Nothing."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self._loop[1]


def _fitted(
    config: Any,
    module: pl.LightningModule,
    task: Task,
    device: torch.device,
    watch: Stopwatch,
    callbacks: list[pl.Callback],
    loggers: list[Any],
) -> float:
    quiet_lightning()
    trainer = instantiate(
        config.trainer,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        strategy=instantiate(config.strategy, _convert_="all").lightning(1),
        callbacks=[watch, *callbacks],
        logger=loggers,
        plugins=[instantiate(config.checkpoint_io)],
        enable_progress_bar=any(isinstance(one, ProgressCallback) for one in callbacks),
        enable_checkpointing=any(isinstance(one, Checkpoints) for one in callbacks),
        limit_val_batches=0,
        max_time=None,
        _convert_="all",
    )
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # of the progress
            trainer.fit(module, datamodule=task.data())
    except Enough:
        return watch.seconds
    raise AssertionError(f"the training ended before {watch.steps} steps were measured")
