"""Values of a wrong kind, found before anything is built: what a part's constructor, or Lightning's Trainer, says of its arguments.

There is no list of keys here. A part of difflab, of torch or of the user's own is checked by the annotations of its constructor, as
`lr: float` and `betas: tuple[float, float]`; what they leave open, the constructor itself refuses.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from difflab.config.build import REFERENCE, annotations_of, build, check_callable, target, typed_key
from difflab.config.groups import ConfigError, choose, whose
from difflab.config.near_keys import lacking, parts
from difflab.config.paths import is_group
from difflab.config.values import classes_of, described, fits, shown
from difflab.runs.identity import ONLY_WATCHES
from difflab.runs.listing import run_id
from difflab.runtime.invocation import program
from difflab.suggest import near_name

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
    for key, instead in SET_ELSEWHERE.items():
        if key in trainer and _value(trainer, key) != (_value(base, key) if key in base else None):
            raise ConfigError(f"trainer.{key} is not the user's to set: {instead}")


def _value(node: DictConfig, key: str) -> Any:
    """As it is written: a reference is not followed."""
    child: Any = node._get_node(key)
    return child._value()


def known_to_loggers(config: Mapping[str, Any], run: Any) -> dict[str, Any]:
    """Argument -> value of what a logger may ask for: the run's directory and what it is called.

    Args:
        config: Of the run.
        run: Its `RunDirectory`.
    """
    group, identity = str(config["run"]["name"]), run_id(run.path)
    values = (run, identity, group, f"{group}-seed{config['seed']}-{identity}")
    return dict(zip(KNOWN_TO_LOGGERS, values, strict=True))


def given_loggers(config: Mapping[str, Any], run: Any) -> list[Any]:
    """Builds the loggers that a configuration names, each as a mirror of the run.

    A logger is told what `known_to_loggers` knows, and a folder in the run's directory, where its constructor asks for that and its node
    leaves it open.

    Args:
        config: Of the run, resolved.
        run: Its `RunDirectory`.

    Raises:
        ConfigError: One makes no logger, or needs a package that is not installed.
    """
    from pytorch_lightning.loggers import Logger

    from difflab.runs.loggers import following

    made = []
    for name, node in config["logger"].items():
        known = known_to_loggers(config, run) | {SAVE_DIR: str(run.path / name)}
        told = {key: value for key, value in known.items() if key in _parameters(node["_target_"]) and key not in node}
        logger = _built(f"logger.{name}", node, told)
        if not isinstance(logger, Logger):
            raise ConfigError(
                f"logger.{name}: {node['_target_']} makes a {type(logger).__name__}, and no Lightning logger"
            )
        made.append(following(logger, run.metrics, run.path / "logged" / f"{name}.json"))
    return made


def given_callbacks(nodes: Mapping[str, Any], scores: Mapping[str, Any], monitor: str) -> list[Any]:
    """Builds the callbacks that a configuration names.

    Args:
        nodes: Name -> node with a `_target_`, resolved.
        scores: Name of a score that is logged -> its `MetricInfo`.
        monitor: The one of them by which best.ckpt is chosen.

    Raises:
        ConfigError: One of them cannot be built, is no callback, or watches a score that there is not.
    """
    from pytorch_lightning import Callback

    made = []
    for name, given in nodes.items():
        node = {key: value for key, value in given.items() if key != ONLY_WATCHES}
        if type(given.get(ONLY_WATCHES, False)) is not bool:
            raise ConfigError(f"callbacks.{name}.{ONLY_WATCHES} must be true or false")
        node |= _told(node, _parameters(node["_target_"]), scores, monitor)
        _check_monitor(name, node, nodes, scores)
        callback = _built(f"callbacks.{name}: {node['_target_']}", node, {})
        if not isinstance(callback, Callback):
            raise ConfigError(
                f"callbacks.{name}: {node['_target_']} makes a {type(callback).__name__}, and no Lightning callback"
            )
        made.append(callback)
    return made


def _built(key: str, node: Mapping[str, Any], told: Mapping[str, Any]) -> Any:
    try:
        return build(node, **told)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from error


def _parameters(name: str) -> Mapping[str, inspect.Parameter]:
    """The arguments of a constructor; none where it does not say."""
    try:
        return inspect.signature(target(name)).parameters
    except ValueError:  # as of dict
        return {}


def _told(
    node: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter], scores: Mapping[str, Any], monitor: str
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
    """A ConfigError for a score that nobody logs. (A callback of the user's may log others.)."""
    watched = node.get("monitor")
    own = any(not str(one["_target_"]).startswith("pytorch_lightning.") for one in nodes.values())
    if isinstance(watched, str) and watched not in scores and (not own or watched.startswith("eval/")):
        near = near_name(watched, scores)
        hint = f"did you mean {near}?" if near else f"evaluations log {', '.join(scores)}"
        raise ConfigError(f"callbacks.{name}.monitor={watched}: there is no such score; {hint}")


def check_accelerator(accelerator: str) -> None:
    """Raises a ConfigError for a kind of device that this machine has not. Of one that it does not know Lightning says so itself."""
    from pytorch_lightning.accelerators import CPUAccelerator, CUDAAccelerator, MPSAccelerator, XLAAccelerator

    kinds = {kind.name(): kind for kind in (CPUAccelerator, CUDAAccelerator, MPSAccelerator, XLAAccelerator)}
    wanted = ("cuda", "mps") if accelerator == "gpu" else (accelerator,)
    if all(name in kinds and not kinds[name].is_available() for name in wanted):
        raise ConfigError(
            f"trainer.accelerator={accelerator}: this machine has none that torch can use. Leave it out (auto takes what there is), or "
            "start the command where there is one"
        )


def check_arguments(config: DictConfig) -> None:
    """Raises a ConfigError for a value that the constructor which gets it does not take.

    A value that stands somewhere else, as `every: ${eval.every}`, is named as it is typed there.

    Args:
        config: Composed, its references not yet replaced by what they lead to.
    """
    for path, node in parts(config):
        function = check_callable(str(node._get_node("_target_")), path)
        for name, annotation in annotations_of(function).items():
            child: Any = node._get_node(name) if name in list(node) else None
            if child is not None and not child._is_missing():
                _check(node, name, f"{path}.{name}" if path else name, annotation)


def _check(node: DictConfig, name: str, path: str, annotation: Any) -> None:
    """Checks one argument."""
    root: Any = node._get_root()
    child: Any = node._get_node(name)
    key = typed_key(root, path)
    try:
        value = node[name]
    except OmegaConfBaseException as error:
        match = REFERENCE.fullmatch(str(child._value()))
        if match and match[1] not in root and is_group(match[1]):
            raise ConfigError(f"no {match[1]} is chosen, and {path} needs one{choose(match[1])}") from error
        if lack := lacking(error, path, root):
            raise ConfigError(lack) from error
        raise ConfigError(f"{key}={child._value()}: {' '.join(str(error).partition('full_key')[0].split())}") from error
    if isinstance(value, DictConfig | ListConfig) and next(parts(value), None) is not None:
        _check_parts(value, key, annotation)
        return
    try:
        plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except OmegaConfBaseException as error:
        raise ConfigError(f"{key}: {' '.join(str(error).partition('full_key')[0].split())}") from error
    if not fits(plain, annotation):
        raise ConfigError(f"{key}={shown(plain)} must be {described(annotation, key)}{whose([key])}")


def _check_parts(value: DictConfig | ListConfig, key: str, annotation: Any) -> None:
    """Checks that a part, or each of several, is of the class that is asked for."""
    if isinstance(value, DictConfig) and "_target_" in value:
        wanted, made = classes_of(annotation), _made(value)
        if wanted and made is not None and not any(issubclass(made, one) for one in wanted):
            names = " or ".join(one.__name__ for one in wanted)
            raise ConfigError(f"{key} makes a {made.__name__}, where {names} is needed{choose(key)}")
        return
    element = typing.get_args(annotation)[-1:]
    items = value.items() if isinstance(value, DictConfig) else enumerate(value)
    for inner, one in items:
        path = f"{key}.{inner}" if isinstance(value, DictConfig) else f"{key}[{inner}]"
        if element and isinstance(one, DictConfig) and "_target_" in one:
            _check_parts(one, path, element[0])
        elif element and classes_of(element[0]):
            raise ConfigError(f"{path}={shown(one)} must be {described(element[0], path)}")


def _made(node: DictConfig) -> type | None:
    """The class that a node makes; None where that is not known."""
    if node.get("_partial_"):
        return None
    function = get_object(node["_target_"])
    made = function if inspect.isclass(function) else typing.get_origin(_returned(function)) or _returned(function)
    return made if inspect.isclass(made) else None


def _returned(function: Callable[..., Any]) -> Any:
    try:
        return typing.get_type_hints(function).get("return")
    except Exception:  # names that only a type checker sees
        return None
