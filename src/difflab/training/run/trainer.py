"""Lightning's Trainer as a run needs it: the user's callbacks and loggers, and difflab's own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from difflab.metrics import MetricInfo


def given_callbacks(nodes: DictConfig, scores: Mapping[str, MetricInfo], monitor: str) -> list[Any]:
    """Builds them.

    Args:
        nodes: Name -> node with a `_target_`.
        scores: Name of a score that is logged -> what kind of number it is.
        monitor: The one of them by which best.ckpt is chosen.

    Raises:
        ConfigError: One of them cannot be built, is no callback, or watches a score that there is not.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate
    from omegaconf import OmegaConf
    from pytorch_lightning import Callback

    from difflab.config.build import cause
    from difflab.config.groups import ConfigError
    from difflab.runs.identity import ONLY_WATCHES

    plain: Any = OmegaConf.to_container(nodes, resolve=True)
    made = []
    for name, node in plain.items():
        if type(node.pop(ONLY_WATCHES, False)) is not bool:
            raise ConfigError(f"callbacks.{name}.{ONLY_WATCHES} must be true or false")
        node |= _told(node, _parameters(node["_target_"]), scores, monitor)
        _check_monitor(name, node, plain, scores)
        try:
            callback = instantiate(node, _convert_="all")
        except InstantiationException as error:
            raise ConfigError(f"callbacks.{name}: {node['_target_']}: {cause(error)}") from error
        if not isinstance(callback, Callback):
            raise ConfigError(
                f"callbacks.{name}: {node['_target_']} makes a {type(callback).__name__}, and no Lightning callback"
            )
        made.append(callback)
    return made


def _parameters(target: str) -> Mapping[str, inspect.Parameter]:
    """The arguments of a constructor; none where it does not say."""
    from hydra.utils import get_object

    try:
        return inspect.signature(get_object(target)).parameters
    except ValueError:  # as of dict
        return {}


def _told(
    node: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter], scores: Mapping[str, MetricInfo], monitor: str
) -> dict[str, str]:
    """The arguments that a node leaves open and the scores know."""
    told = {}
    if "monitor" in parameters and "monitor" not in node and parameters["monitor"].default is inspect.Parameter.empty:
        told["monitor"] = monitor
    watched = scores.get({**told, **node}.get("monitor", ""))
    if watched is not None and "mode" in parameters and "mode" not in node:
        told["mode"] = "max" if watched.higher_is_better else "min"
    return told


def _check_monitor(name: str, node: Mapping[str, Any], nodes: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
    """A ConfigError for a score that nobody logs. (A callback of the user's may log others.)"""
    from difflab.config.groups import ConfigError, near_name

    watched = node.get("monitor")
    own = any(not str(one["_target_"]).startswith("pytorch_lightning.") for one in nodes.values())
    if isinstance(watched, str) and watched not in scores and (not own or watched.startswith("eval/")):
        near = near_name(watched, scores)
        hint = f"did you mean {near}?" if near else f"evaluations log {', '.join(scores)}"
        raise ConfigError(f"callbacks.{name}.monitor={watched}: there is no such score; {hint}")


def watched_trainer(
    config: DictConfig, run: Any, lock: Any, module: Any, data: Any, evaluation: Any, interruption: Any, strategy: Any
) -> Any:
    """The Trainer with its watchers and loggers."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from difflab.config.trainer_arguments import known_to_loggers, made_logger
    from difflab.data import DataError
    from difflab.distributed.world import environment
    from difflab.evaluation import ScoresCallback
    from difflab.evaluation.callback import JudgedFitLoop
    from difflab.runs import Checkpoints, LockCallback, MetricsLog, SnapshotCallback
    from difflab.runtime import launched_rank
    from difflab.training.callbacks import DivergenceCallback, ProgressCallback, ThroughputCallback
    from difflab.training.run.pulse import Pulse

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
