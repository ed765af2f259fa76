"""Training: compose -> instantiate -> fit."""

from __future__ import annotations

import logging
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


def main() -> None:
    """The command line of train.py."""
    arguments = sys.argv[1:]
    if wants_help(arguments):
        print(help_text("train.py", "trains a diffusion model and scores its samples", EXAMPLES))
    elif any(argument.lstrip("+") in ("experiment=list", "experiment=") for argument in arguments):
        from difflab.cli.experiments import listing

        print(listing())
    else:
        run_hydra("train", train)


def train(config: DictConfig) -> None:
    """Trains the model that the configuration describes, going on where an earlier start of the same command stopped."""
    from hydra.errors import InstantiationException

    from difflab.cli.check import ConfigError
    from difflab.data import DataError

    try:
        _train(config)
    except (ConfigError, DataError) as error:
        fail(str(error))
    except InstantiationException as error:
        fail(cause(error))


def _train(config: DictConfig) -> None:
    import torch
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from difflab.callbacks import EvaluationCallback, ProgressCallback, ThroughputCallback
    from difflab.cli.check import check_keys
    from difflab.cli.recipe import recipe
    from difflab.data.stream import images_per_micro_batch
    from difflab.metrics import ImageMetrics
    from difflab.runs import Checkpoints, MetricsLog, RunDirectory, identity, newest, provenance

    quiet_lightning()
    check_keys(config, _base())
    resolved: Any = OmegaConf.to_container(config, resolve=True)
    if isinstance(config.trainer.devices, int):
        images_per_micro_batch(
            config.data.batch_size,
            config.trainer.devices * config.trainer.num_nodes,
            config.trainer.accumulate_grad_batches,
        )
    torch.manual_seed(config.seed)  # the initial weights
    module = instantiate(config.module, _convert_="all")
    data = instantiate(config.data, _convert_="all")

    name = identity(resolved, data.fingerprint)
    run = RunDirectory(f"{config.run.root}/{config.run.name}/{name}")
    if run.complete.exists():
        print(f"already complete: the same command has been run to its end ({config.trainer.max_steps} steps)")
        report(run)
        return

    extractor = instantiate(config.extractor)
    metrics = ImageMetrics(extractor, data.dataset, config.eval.num_samples, splits=config.eval.score_splits)
    tracks = list(config.eval.tracks)
    log = MetricsLog(run.metrics)
    loggers = [log, *(_logger(node, config, name, run) for node in config.logger.values())]
    watchers = [
        EvaluationCallback(metrics, tracks, config.eval.batch_size, config.eval.grid, run.samples),
        ThroughputCallback(config.data.batch_size, config.trainer.log_every_n_steps),
        ProgressCallback(config.data.batch_size, config.trainer.log_every_n_steps),
        Checkpoints(
            run.checkpoints,
            config.checkpoint.every,
            config.checkpoint.keep_last,
            config.checkpoint.milestone,
            monitor=f"eval/{tracks[0] if tracks else 'online'}/{metrics.label(extractor.identity.distance)}",
            evaluated_every=config.eval.every,
        ),
    ]
    trainer = instantiate(
        config.trainer, callbacks=watchers, logger=loggers, default_root_dir=str(run.path), _convert_="all"
    )

    checkpoint = newest(run.checkpoints)
    if trainer.is_global_zero:
        print(recipe(config, module, name))
        protocol = {
            **metrics.protocol(),
            "sampler": resolved["sampler"],
            "guidance": resolved["guidance"],
            "seeds": "0 .. N - 1",
        }
        run.begin(config, provenance(), protocol)
        for logger in loggers[1:]:
            logger.log_hyperparams(resolved | {"protocol": protocol, "provenance": provenance()})
        if checkpoint:
            step = int(checkpoint.stem.removeprefix("step-"))
            print(f"going on from step {step} ({checkpoint})")
            log.rewind(step)
    trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    if trainer.is_global_zero and trainer.global_step >= config.trainer.max_steps:
        run.finish({"step": trainer.global_step, **run.last_scores()})
        report(run)


def report(run: Any) -> None:
    """Where things are; the path of the run is the last line."""
    for name, value in run.last_scores().items():
        print(f"{name:40} {value:.4g}")
    print(f"samples  {run.last_grid()}")
    print(f"metrics  {run.metrics}")
    print(run.path)


def quiet_lightning() -> None:
    """Lightning speaks of devices, hooks and loaders at length; its warnings stay."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")


def _base() -> DictConfig:
    """The configuration without an experiment, for its keys."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from difflab.cli.places import config_directory

    if GlobalHydra.instance().is_initialized():
        return compose("train")
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return compose("train")


def _logger(node: DictConfig, config: DictConfig, name: str, run: Any) -> Any:
    """A configured logger, told which run it mirrors."""
    from hydra.utils import instantiate

    variant = str(config.run.name)
    return instantiate(
        node, identity=name, group=variant, name=f"{variant}-seed{config.seed}-{name[:4]}", directory=run.path
    )


def cause(error: BaseException) -> str:
    """The innermost message of a failed instantiation, and where it happened."""
    path = str(error).splitlines()[-1].removeprefix("full_key: ") if "full_key" in str(error) else ""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = " ".join(str(cause).split())
    return f"{path}: {text}" if path else text
