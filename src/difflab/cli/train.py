"""Training: compose -> instantiate -> fit."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

from difflab.cli.entry import fail, help_text, run_hydra, wants_help

if TYPE_CHECKING:
    from omegaconf import DictConfig

EXAMPLES = [
    ("python train.py +experiment=cosine_adagn", "the headline run on the embedded digits, minutes on a laptop"),
    ("python train.py +experiment=list", "all experiments with a line on each"),
    (
        "python train.py +experiment=cosine_adagn schedule=linear seed=1",
        "a variant of it: another schedule, another seed",
    ),
    (
        "python train.py -m +experiment=cosine_adagn,linear_adagn seed=0,1,2",
        "several variants and seeds after each other",
    ),
    (
        "python train.py +experiment=iddpm/cifar10/cosine_hybrid_T4000 trainer.accelerator=gpu trainer.precision=bf16-mixed",
        "a published model on a GPU",
    ),
]

VALUES = [
    "seed  condition_dropout  trainer.max_steps  trainer.precision  trainer.devices  data.batch_size (the global batch)",
    "eval.every  eval.num_samples  eval.tracks  checkpoint.every  run.root  run.name  run.restart",
    "and every key of a chosen part, as network.width=64. `--cfg job` prints them all; `--hydra-help` is Hydra's own help.",
]


def main() -> None:
    """The command line of train.py."""
    arguments = sys.argv[1:]
    if not arguments or wants_help(arguments):
        print(
            help_text(
                "train.py", "trains a diffusion model and scores its samples", EXAMPLES, VALUES, lambda group: True
            )
        )
    elif any(argument.lstrip("+") in ("experiment=list", "experiment=") for argument in arguments):
        from difflab.cli.experiments import listing

        print(listing())
    else:
        run_hydra("train", train)


def train(config: DictConfig) -> None:
    """Trains the model that the configuration describes, going on where an earlier start of the same command stopped."""
    from hydra.errors import InstantiationException
    from omegaconf.errors import OmegaConfBaseException

    from difflab.cli.check import ConfigError
    from difflab.data import DataError
    from difflab.runs import RunBusyError

    try:
        _train(config)
    except (ConfigError, DataError, RunBusyError, OmegaConfBaseException) as error:
        fail(" ".join(str(error).split()))
    except InstantiationException as error:
        fail(cause(error))


def _train(config: DictConfig) -> None:
    import torch
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from difflab.cli.check import ConfigError, check_keys, check_nothing_missing, drop_unchosen
    from difflab.cli.outcome import fit
    from difflab.cli.recipe import recipe
    from difflab.data.stream import images_per_micro_batch
    from difflab.launch import Interruption
    from difflab.runs import RunDirectory, RunLock, detour_count, go_back, identity, newest, provenance
    from difflab.runs.checkpoints import step_of
    from difflab.runs.export import export_all

    quiet_lightning()
    drop_unchosen(config)
    check_keys(config, _base())
    check_nothing_missing(config)
    resolved: Any = OmegaConf.to_container(config, resolve=True)
    if not isinstance(config.trainer.max_steps, int) or config.trainer.max_steps < 1:
        raise ConfigError(
            f"trainer.max_steps={config.trainer.max_steps}: expected a whole number of optimizer steps, at least 1"
        )
    if isinstance(config.trainer.devices, int):
        images_per_micro_batch(
            config.data.batch_size,
            config.trainer.devices * config.trainer.num_nodes,
            config.trainer.accumulate_grad_batches,
        )
    torch.manual_seed(config.seed)  # the initial weights
    module = instantiate(config.module, _convert_="all")
    data = instantiate(config.data, _convert_="all")

    extractor = instantiate(config.extractor)

    name = identity(resolved, data.fingerprint, extractor.fingerprint)
    run = RunDirectory(_directory(config, name))
    if run.complete.exists():
        print(f"already complete: the same command has been run to its end ({config.trainer.max_steps} steps)")
        report(run)
        return
    module.detours = detour_count(run)

    try:
        # a yaml file's unquoted 12:00:00 arrives as a number of seconds
        limit = "" if config.trainer.max_time is None else str(config.trainer.max_time)
        interruption = Interruption(limit, config.run.margin)
        trainer, protocol = _trainer(config, run, module, data, extractor, interruption)
    except ValueError as error:
        raise ConfigError(" ".join(str(error).split())) from error
    if not trainer.is_global_zero:
        fit(trainer, module, data, newest(run.checkpoints), interruption)
        return
    lock = RunLock(run.path)
    lock.acquire()
    try:
        checkpoint = newest(run.checkpoints)
        step = step_of(checkpoint) if checkpoint else 0
        print(recipe(config, module, run.path.name))
        if checkpoint:
            print(f"going on from step {step} ({checkpoint})")
        protocol |= {"sampler": resolved["sampler"], "guidance": resolved["guidance"], "seeds": "0 .. N - 1"}
        start: dict[str, Any] = provenance() | {"from_step": step}
        run.begin(OmegaConf.to_yaml(config, resolve=True), start, protocol)
        trainer.loggers[0].rewind(step)
        code = {key: value for key, value in (start["git"] or {}).items() if key != "diff"}
        for logger in trainer.loggers:
            logger.log_hyperparams(resolved | {"protocol": protocol, "provenance": start | {"git": code}})
        try:
            outcome = fit(trainer, module, data, checkpoint, interruption)
        except BaseException:
            run.end("failed", trainer.global_step, trainer.global_step * config.data.batch_size)
            raise
        run.end(outcome.name, trainer.global_step, trainer.global_step * config.data.batch_size)
        if outcome.give_up:
            go_back(run, outcome.give_up)
        last = newest(run.checkpoints)
        if outcome.name == "complete" and last:
            export_all(
                run.weights,
                torch.load(last, map_location="cpu", weights_only=True),
                run.config.read_text(),
            )
            run.finish({"step": trainer.global_step, **run.last_scores()})
            report(run)
    finally:
        lock.release()
    if outcome.message:
        print(f"{run.path}: {outcome.message}", file=sys.stderr)
        sys.exit(outcome.exit_code)


def _trainer(
    config: DictConfig, run: Any, module: Any, data: Any, extractor: Any, interruption: Any
) -> tuple[Any, dict[str, Any]]:
    """The Trainer with its watchers and loggers, and the protocol of its metrics."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from difflab.callbacks import DivergenceCallback, EvaluationCallback, ProgressCallback, ThroughputCallback
    from difflab.metrics import ImageMetrics
    from difflab.runs import Checkpoints, MetricsLog, SnapshotCallback

    metrics = ImageMetrics(extractor, data.dataset, config.eval.num_samples, splits=config.eval.score_splits)
    tracks, every = list(config.eval.tracks), config.trainer.log_every_n_steps
    evaluation = EvaluationCallback(metrics, tracks, config.eval.batch_size, config.eval.grid, run.samples)
    evaluation.check(module.ema.tracks.names)
    watchers = [
        evaluation,
        DivergenceCallback(instantiate(config.divergence), run.diverged, every),
        ThroughputCallback(config.data.batch_size, every),
        ProgressCallback(config.data.batch_size, every),
        SnapshotCallback(config.ema_snapshots.every, run.snapshots, OmegaConf.to_yaml(config, resolve=True)),
        Checkpoints(
            run.checkpoints,
            config.checkpoint.every,
            config.checkpoint.keep_last,
            config.checkpoint.milestone,
            monitor=f"eval/{tracks[0] if tracks else 'online'}/{metrics.label(extractor.identity.distance)}",
            evaluated_every=config.eval.every,
            interruption=interruption,
        ),
    ]
    loggers: list[Any] = [MetricsLog(run.metrics)]
    if _launched_rank() == 0:
        title = f"{config.run.name}-seed{config.seed}-{run.path.name}"
        loggers += [
            instantiate(node, run=run, identity=run.path.name, group=str(config.run.name), name=title)
            for node in config.logger.values()
        ]
    trainer = instantiate(
        config.trainer,
        callbacks=watchers,
        logger=loggers,
        plugins=[instantiate(config.checkpoint_io)],
        default_root_dir=str(run.path),
        max_time=None,  # Lightning's own limit would end with an evaluation that an uninterrupted run has not
        _convert_="all",
    )
    return trainer, metrics.protocol()


def _directory(config: DictConfig, name: str) -> str:
    """The run's directory. Processes that Lightning starts on this machine use the one that the first process has chosen."""
    from difflab.runs import attempt_directory

    if _launched_rank() == 0 or _CHOSEN not in os.environ:
        os.environ[_CHOSEN] = str(attempt_directory(f"{config.run.root}/{config.run.name}", name, config.run.restart))
    return os.environ[_CHOSEN]


_CHOSEN = "DIFFLAB_RUN_DIRECTORY"


def _launched_rank() -> int:
    """The number of this process among those of the run, as whoever launched it says."""
    return int(next((os.environ[key] for key in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if key in os.environ), "0"))


def report(run: Any) -> None:
    """Where things are; the path of the run is the last line."""
    for name, value in run.last_scores().items():
        print(f"{name:40} {value:.4g}")
    print(f"samples  {run.last_grid()}")
    print(f"weights  {run.weights}")
    print(f"metrics  {run.metrics}")
    print(run.path)


def quiet_lightning() -> None:
    """Lightning speaks of devices, hooks and loaders at length; its warnings stay."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("once", message=".*singular.*")
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"  # not the line of code that gave it
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")  # metrics are sums over all processes already


def _base() -> DictConfig:
    """The configuration without an experiment, for its keys."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from difflab.cli.places import config_directory

    if GlobalHydra.instance().is_initialized():
        return compose("train")
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return compose("train")


def cause(error: BaseException) -> str:
    """The message of a failed instantiation, and where it happened."""
    from hydra.errors import InstantiationException

    path = str(error).splitlines()[-1].removeprefix("full_key: ") if "full_key" in str(error) else ""
    cause = error
    while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
        cause = cause.__cause__
    text = " ".join(str(cause).split())
    return f"{path}: {text}" if path else text
