"""Lightning's Trainer as a run needs it: with its watchers, loggers and places."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig


def watched_trainer(
    config: DictConfig, run: Any, lock: Any, module: Any, data: Any, evaluation: Any, interruption: Any, strategy: Any
) -> Any:
    """The Trainer with its watchers and loggers."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from difflab.callbacks import DivergenceCallback, ProgressCallback, ScoresCallback, ThroughputCallback
    from difflab.callbacks.track_evaluation import JudgedFitLoop
    from difflab.cli.given_callbacks import given_callbacks
    from difflab.cli.trainer_arguments import known_to_loggers, made_logger
    from difflab.data import DataError
    from difflab.launch import launched_rank
    from difflab.launch.pulse import Pulse
    from difflab.launch.world import environment
    from difflab.runs import Checkpoints, LockCallback, MetricsLog, SnapshotCallback

    every, judge = config.trainer.log_every_n_steps, evaluation.watcher(data, run.samples)
    judge.check(module)
    checkpoints = Checkpoints(
        run.checkpoints,
        config.checkpoint.every,
        config.checkpoint.keep_last,
        config.checkpoint.milestone,
        monitor=evaluation.monitor,
        evaluated_every=config.eval.every,
        interruption=interruption,
        between_steps=(DataError,),
    )
    watchers = [
        LockCallback(lock),
        Pulse(timedelta(minutes=config.strategy.get("timeout", 30))),
        judge,
        DivergenceCallback(instantiate(config.divergence), run.diverged, every),
        ThroughputCallback(config.data.batch_size, every, data.seconds_waited, lambda: checkpoints.seconds),
        *(
            []
            if config.trainer.get("enable_progress_bar") is False
            else [ProgressCallback(config.data.batch_size, every)]
        ),
        ScoresCallback(evaluation.info(data), evaluation.measured(data)),
        SnapshotCallback(config.ema_snapshots.every, run.snapshots, OmegaConf.to_yaml(config, resolve=True)),
        *given_callbacks(config.callbacks, evaluation.scores(data), evaluation.monitor),
        checkpoints,
    ]
    trainer = instantiate(
        config.trainer,
        strategy=strategy,
        callbacks=watchers,
        logger=False,
        plugins=[instantiate(config.checkpoint_io), *environment()],
        default_root_dir=str(run.path),
        max_time=None,  # Lightning's own limit would end with an evaluation that an uninterrupted run has not
        _convert_="all",
    )
    trainer.fit_loop = JudgedFitLoop(trainer.fit_loop, judge)
    trainer.loggers = [MetricsLog(run.metrics)]
    if launched_rank() == 0:  # last of all: some of them write at once
        known = known_to_loggers(config, run)
        trainer.loggers += [made_logger(str(name), node, known, run) for name, node in config.logger.items()]
    return trainer
