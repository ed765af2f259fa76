"""Lightning's Trainer as a run needs it: the user's callbacks and loggers, and difflab's own."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl

from difflab.config.arguments import given_callbacks, given_loggers
from difflab.data import DataError, ImageData
from difflab.distributed.world import environment
from difflab.evaluation import ScoresCallback
from difflab.evaluation.callback import EvaluatedFitLoop
from difflab.runs import Checkpoints, LockCallback, MetricsLog, RunDirectory, RunLock
from difflab.runs.export import export_weights
from difflab.runtime import Interruption, launched_rank
from difflab.training.callbacks import DivergenceCallback, ProgressCallback, ThroughputCallback
from difflab.training.module import TrainedModule
from difflab.training.run.pulse import Pulse

if TYPE_CHECKING:
    from difflab.config.training import TrainingOptions
    from difflab.evaluation.in_training import Evaluation


class SnapshotCallback(pl.Callback):
    """Writes every average that post-hoc EMA can combine at intervals to <directory>/step-<step>-std-<std>.safetensors.

    Lightning's restart from a checkpoint writes the same files again; they are the same to the bit.

    Args:
        every: Optimizer steps between snapshots; 0 for none.
        directory: Where they go.
        config: The run's configuration, for the files' headers.
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


def build_trainer(
    options: TrainingOptions,
    run: RunDirectory,
    lock: RunLock,
    module: TrainedModule[Any],
    data: ImageData,
    evaluation: Evaluation,
    interruption: Interruption,
) -> pl.Trainer:
    """Builds the Trainer of a run, with its callbacks and loggers. Nothing is written, but by loggers of the user's own.

    Raises:
        ValueError: The model cannot be evaluated so, or an interval is none.
        ConfigError: A callback, a logger or an argument of the Trainer is wrong.
    """
    config, every = options.config, options.config["trainer"]["log_every_n_steps"]
    evaluating = evaluation.callback(data, run.samples)
    evaluating.check(module)
    checkpoints = Checkpoints(
        run.checkpoints,
        **config["checkpoint"],
        monitor=evaluation.monitor,
        evaluated_every=config["eval"]["every"],
        interruption=interruption,
        between_steps=(DataError,),
    )
    shows_progress = config["trainer"].get("enable_progress_bar") is not False
    callbacks = [
        LockCallback(lock),
        Pulse(timedelta(minutes=config["strategy"].get("timeout", 30))),
        evaluating,
        DivergenceCallback(options.build("divergence"), run.diverged, every),
        ThroughputCallback(options.batch_size, every, data.seconds_waited, lambda: checkpoints.seconds),
        *([ProgressCallback(options.batch_size, every)] if shows_progress else []),
        ScoresCallback(evaluation.info(data), evaluation.measured(data)),
        SnapshotCallback(config["ema_snapshots"]["every"], run.snapshots, options.yaml),
        *given_callbacks(config["callbacks"], evaluation.scores(data), evaluation.monitor),
        checkpoints,
    ]
    trainer = options.build(
        "trainer",
        strategy=options.strategy.lightning(options.processes),
        callbacks=callbacks,
        logger=False,
        plugins=[options.build("checkpoint_io"), *environment()],
        default_root_dir=str(run.path),
        max_time=None,  # Lightning's own limit would end with an evaluation that an uninterrupted run has not
    )
    trainer.fit_loop = EvaluatedFitLoop(trainer.fit_loop, evaluating)
    trainer.loggers = [MetricsLog(run.metrics)]
    if launched_rank() == 0:  # last of all: some of them write at once
        trainer.loggers += given_loggers(config, run)
    return trainer
