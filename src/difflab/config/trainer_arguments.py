"""The arguments of Lightning's Trainer: those that a user may set, and those that something else of difflab decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from difflab.runtime.invocation import program

if TYPE_CHECKING:
    from omegaconf import DictConfig

KNOWN_TO_CALLBACKS = ("monitor", "mode")
"""What a callback that watches a score is told where its node leaves it open: the score by which best.ckpt is chosen, and which way is
better."""

SET_ELSEWHERE = {
    "logger": "choose loggers by logger=[...], or add one of your own: '+logger.mine={_target_: ...}'",
    "callbacks": "choose callbacks=[...], or add one of your own: +callbacks.mine._target_=my_package.MyCallback",
    "strategy": "choose strategy=auto|ddp|fsdp|..., or give the group a part of your own by its _target_",
    "plugins": "checkpoints are written by checkpoint_io=..., sharding by strategy=..., precision is trainer.precision",
    "default_root_dir": "runs are kept in run.root=... and run.name=...",
    "fast_dev_run": "it would count as a finished run; for a short one set trainer.max_steps=10 eval.every=10, with +shrink=tiny",
    "max_epochs": "the stream of images is endless: set trainer.max_steps",
    "min_epochs": "the stream of images is endless: set trainer.max_steps",
    "min_steps": "training goes on to trainer.max_steps in any case",
    "limit_train_batches": "the stream of images is endless: set trainer.max_steps",
    "limit_val_batches": "an evaluation draws eval.num_samples images; with a large eval.every only the last step is evaluated",
    "limit_test_batches": f"there are no test batches: {program('evaluate')} measures a run",
    "limit_predict_batches": f"there are no prediction batches: {program('sample')} draws from a run",
    "overfit_batches": "train on fewer images: data of a few files, in a folder or an archive",
    "val_check_interval": "set eval.every, the optimizer steps between evaluations",
    "check_val_every_n_epoch": "set eval.every, the optimizer steps between evaluations",
    "num_sanity_val_steps": "what an evaluation needs is checked before training begins",
    "enable_checkpointing": "a run always keeps checkpoints: checkpoint.every, checkpoint.keep_last and checkpoint.milestone say which",
    "use_distributed_sampler": "the stream of images is split over the processes already",
    "reload_dataloaders_every_n_epochs": "the stream of images is endless and is loaded once",
    "barebones": "it turns off logging and checkpoints, without which there is no run",
    "model_registry": "weights of a finished run are in its folder weights/",
}
"""Argument -> what to set instead. They would be overridden, ignored, or undo what makes a run one that can go on."""

KNOWN_TO_LOGGERS = ("run", "identity", "group", "name")
"""What a logger is told of the run, if its constructor asks."""

SAVE_DIR = "save_dir"
"""How Lightning's loggers call the folder that they write to: one in the run's directory, of the logger's name."""


def check_trainer(trainer: DictConfig, base: DictConfig) -> None:
    """Raises a ConfigError for an argument that something else decides.

    Args:
        trainer: As it was chosen.
        base: As it is without an experiment and a command line: what stands there may be repeated.
    """
    from difflab.config.groups import ConfigError

    for key, instead in SET_ELSEWHERE.items():
        if key in trainer and _value(trainer, key) != (_value(base, key) if key in base else None):
            raise ConfigError(f"trainer.{key} is not the user's to set: {instead}")


def _value(node: DictConfig, key: str) -> Any:
    """As it is written: a reference is not followed."""
    child: Any = node._get_node(key)
    return child._value()


def known_to_loggers(config: DictConfig, run: Any) -> dict[str, Any]:
    """Argument -> value of what a logger may ask for: the run's directory and what it is called.

    Args:
        config: Of the run.
        run: Its `RunDirectory`.
    """
    from difflab.runs.names import run_id

    group, identity = str(config.run.name), run_id(run.path)
    values = (run, identity, group, f"{group}-seed{config.seed}-{identity}")
    return dict(zip(KNOWN_TO_LOGGERS, values, strict=True))


def made_logger(name: str, node: DictConfig, known: dict[str, Any], run: Any) -> Any:
    """A logger from its node, as a mirror of the run.

    Args:
        name: In the configuration.
        node: With a `_target_`.
        known: Argument -> value, for those arguments that its constructor has and its node leaves open.
        run: The `RunDirectory`.

    Raises:
        ConfigError: It makes no logger, or needs a package that is not installed.
    """
    import inspect

    from hydra.errors import InstantiationException
    from hydra.utils import get_object, instantiate
    from pytorch_lightning.loggers import Logger

    from difflab.config.build import cause
    from difflab.config.groups import ConfigError
    from difflab.runs.loggers import following

    known = known | {SAVE_DIR: str(run.path / name)}
    taken = inspect.signature(get_object(node._target_)).parameters
    try:
        logger = instantiate(node, **{key: value for key, value in known.items() if key in taken and key not in node})
    except InstantiationException as error:
        raise ConfigError(f"logger.{name}: {cause(error)}") from error
    if not isinstance(logger, Logger):
        raise ConfigError(f"logger.{name}: {node._target_} makes a {type(logger).__name__}, and no Lightning logger")
    return following(logger, run.metrics, run.path / "logged" / f"{name}.json")


def check_accelerator(accelerator: str) -> None:
    """Raises a ConfigError for a kind of device that this machine has not. Of one that it does not know Lightning says so itself."""
    from pytorch_lightning.accelerators import CPUAccelerator, CUDAAccelerator, MPSAccelerator, XLAAccelerator

    from difflab.config.groups import ConfigError

    kinds = {kind.name(): kind for kind in (CPUAccelerator, CUDAAccelerator, MPSAccelerator, XLAAccelerator)}
    wanted = ("cuda", "mps") if accelerator == "gpu" else (accelerator,)
    if all(name in kinds and not kinds[name].is_available() for name in wanted):
        raise ConfigError(
            f"trainer.accelerator={accelerator}: this machine has none that torch can use. Leave it out (auto takes what there is), or "
            "start the command where there is one"
        )
