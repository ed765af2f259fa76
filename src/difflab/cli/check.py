"""Wrong keys, found before anything is built.

Hydra refuses an unknown key on the command line. One inside an experiment's yaml it merges without a word, so every key of the composed
configuration is compared with what can use it: the constructor's arguments of the node's `_target_`, or the base configuration.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from difflab.cli.choice_names import is_group, path_among
from difflab.cli.places import config_directory
from difflab.cli.readable_words import readable
from difflab.cli.trainer_arguments import check_trainer

SEVERAL = ("ema", "guidance", "embedder", "conditioning", "logger", "metric")
"""Groups of which several parts can be chosen, each under its name."""

FREE_NAMES = frozenset(
    {"ema", "guidance", "embedder", "conditioning", "logger", "metric", "evaluation.pair_metrics", "target"}
)
"""Nodes whose keys are names of the user's choice."""

_HYDRA_KEYS = frozenset({"_target_", "_partial_", "_convert_", "_args_", "_recursive_"})


class ConfigError(ValueError):
    """A configuration that cannot be run; the message is one line that says what to change."""


def compose_or_explain(config_name: str, overrides: list[str]) -> DictConfig:
    """The composed configuration; a ConfigError that names the near key where an override fits nothing."""
    overrides = readable(overrides)
    if refused := path_among(overrides):
        raise ConfigError(refused)
    try:
        return compose(config_name, overrides=overrides, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        parsed = [_parsed(override) for override in overrides]
        chosen = [override for override in parsed if is_group(override.key_or_group)]
        if "Could not find" in str(error) or "Could not load" in str(error):  # a choice, one of several choices
            for override in chosen:
                _explain_choice(override.key_or_group, override.value(), str(error))
        base = _base(config_name, chosen)
        for override in parsed:
            if override not in chosen and not override.is_add() and not override.is_delete():
                _explain_path(base, override.key_or_group)
        message = str(error).partition("Config search path")[0]
        raise ConfigError(" ".join(message.split())) from error


def composed(config_name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The configuration that other overrides than the command's would give."""
    if GlobalHydra.instance().is_initialized():
        return compose(config_name, overrides=readable(overrides))
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return compose(config_name, overrides=readable(overrides))


def _parsed(override: str) -> Override:
    """What an override says; a ConfigError if it cannot be read."""
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{override!r} cannot be read as key=value or 'key=[value,value]' ({reason})") from error


def _base(config_name: str, chosen: Sequence[Override]) -> DictConfig:
    """The configuration that overrides of values apply to: with the command's own choices of parts, where these fit together."""
    lines = [override.input_line for override in chosen if override.input_line is not None]
    try:
        return compose(config_name, overrides=lines, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException):
        return compose(config_name, return_hydra_config=True)


def _explain_choice(group: str, choice: object, problem: str = "") -> None:
    """Raises if a group has no such choice.

    Args:
        group: As it was named.
        choice: A name, or several; those of a folder of the user's own are not known here.
        problem: What Hydra says of it, with the one that it has not found.
    """
    names = choice if isinstance(choice, list) else [choice]
    for name in [name for name in names if f"{group}/{name}'" in problem] or names:
        choices = _choices(group)
        if isinstance(name, str) and name not in choices and choices:
            near = _near(name, choices)
            several = (
                f"there are {', '.join(choices)}" if len(choices) < 20 else f"python train.py +{group}=list names them"
            )
            raise ConfigError(
                f"{group}={name}: there is no such choice; {f'did you mean {near!r}?' if near else several}"
            )


def _choices(group: str) -> list[str]:
    folder = config_directory() / group
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def drop_unchosen(config: DictConfig) -> None:
    """Takes out an experiment's settings of parts that the command has deselected.

    `ema=[power_function]` on an experiment that sets ema.warm_up.decay leaves {decay: ...} behind, without a `_target_`. A name that is no
    choice of the group at all is a mistake.
    """
    for group in SEVERAL:
        node = config.get(group)
        if not isinstance(node, DictConfig):
            continue
        choices = sorted(path.stem for path in (config_directory() / group).glob("*.yaml"))
        for name in [str(name) for name in node]:
            part = node._get_node(name)
            if isinstance(part, DictConfig) and "_target_" not in part:
                if name not in choices:
                    raise ConfigError(_unknown(f"{group}.{name}", f"{group} (a part without _target_)", choices))
                with open_dict(node):
                    del node[name]


def check_keys(config: DictConfig, base: DictConfig) -> None:
    """Raises a ConfigError for a key that nothing uses.

    base   the same configuration without an experiment: what keys there are outside of constructors' arguments
    """
    for key in config:
        if str(key) not in base:
            raise ConfigError(_unknown(str(key), "the configuration", map(str, base)))
        _check_node(config._get_node(key), base._get_node(key), str(key))
    if "trainer" in base:
        check_trainer(config.trainer, base.trainer)


def check_nothing_missing(config: DictConfig) -> None:
    """Raises a ConfigError that names the values without which this configuration cannot be run."""
    missing = sorted(_missing(config, ""))
    if missing:
        raise ConfigError(
            f"{', '.join(missing)} must be given: add {' '.join(f'{key}=...' for key in missing)} to the command"
        )


def _missing(node: DictConfig | ListConfig, path: str) -> list[str]:
    """Dotted paths of the values that are still `???`. What a reference leads to is looked at where it stands."""
    found = []
    for inner, child in _children(node, path):
        if child._is_missing():
            found.append(inner)
        elif isinstance(child, DictConfig | ListConfig) and not child._is_interpolation() and not child._is_none():
            found += _missing(child, inner)
    return found


def _children(node: DictConfig | ListConfig, path: str) -> list[tuple[str, Any]]:
    """(dotted path, node) of what is below a node."""
    if isinstance(node, ListConfig):
        return [(f"{path}[{i}]", node._get_node(i)) for i in range(len(node))]
    return [(f"{path}.{key}" if path else str(key), node._get_node(key)) for key in node]


def _check_node(node: Any, base: Any, path: str) -> None:
    if isinstance(node, ListConfig) and not node._is_interpolation() and not node._is_none():
        for i in range(len(node)):
            _check_node(node._get_node(i), None, f"{path}[{i}]")
    if not isinstance(node, DictConfig) or node._is_interpolation() or node._is_missing() or node._is_none():
        return
    keys = [str(key) for key in node]
    if "_target_" in keys:
        allowed = _arguments(str(node._get_node("_target_")), path)
        user = f"{path} ({str(node._get_node('_target_')).rsplit('.', 1)[-1]})"
    elif path in FREE_NAMES or not isinstance(base, DictConfig):
        allowed, user = None, path
    else:
        allowed, user = [str(key) for key in base], path
    for key in keys:
        if key not in _HYDRA_KEYS and allowed is not None and key not in allowed:
            raise ConfigError(_unknown(f"{path}.{key}", user, allowed))
        inner = base._get_node(key) if isinstance(base, DictConfig) and key in base else None
        _check_node(node._get_node(key), inner, f"{path}.{key}")


def _arguments(target: str, path: str) -> list[str] | None:
    """Names of a constructor's arguments; None if it takes any."""
    try:
        function = get_object(target)
    except Exception as error:
        raise ConfigError(f"{path}._target_: there is no {target} ({' '.join(str(error).split())})") from error
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # as of dict: it does not say
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters]


def _explain_path(base: DictConfig, path: str) -> None:
    """Raises if a dotted path leads nowhere in the base configuration."""
    node: Any = base
    parts = path.split(".")
    for depth, part in enumerate(parts):
        if isinstance(node, DictConfig) and part not in list(node):  # `part in node` says no of a value that is missing
            above = ".".join(parts[:depth])
            if above == "" and base.hydra.runtime.choices.get(part, part) is None:
                direct = [choice for choice in _choices(part) if "/" not in choice]
                raise ConfigError(f"{path}: no {part} is chosen; choose one as well, {part}={'|'.join(direct)}")
            elsewhere = [leaf for leaf in _leaves(base, "") if leaf.rsplit(".", 1)[-1] == parts[-1]]
            if len(parts) == 1 and elsewhere:
                raise ConfigError(f"unknown key {path!r}: did you mean {elsewhere[0]!r}?")
            raise ConfigError(_unknown(".".join(parts[: depth + 1]), above or "the configuration", map(str, node)))
        node = node._get_node(part) if isinstance(node, DictConfig) else None
        if not isinstance(node, DictConfig) or node._is_missing() or node._is_none() or node._is_interpolation():
            return


def _leaves(node: DictConfig, path: str) -> list[str]:
    """All dotted paths below a node."""
    found = []
    for inner, child in _children(node, path):
        if inner == "hydra":
            continue
        if isinstance(child, DictConfig) and not (child._is_interpolation() or child._is_none() or child._is_missing()):
            found += _leaves(child, inner)
        else:
            found.append(inner)
    return found


def _unknown(path: str, user: str, allowed: Iterable[str]) -> str:
    names = [name for name in allowed if name not in _HYDRA_KEYS and name != "hydra"]
    key = path.rsplit(".", 1)[-1]
    near = _near(key, names)
    there_are = f"there are {', '.join(sorted(names))}" if names else "it has no settings"
    hint = f"did you mean {near!r}?" if near else there_are
    return f"unknown key {path!r}: {user} has no {key!r}; {hint}"


def _near(name: str, names: Iterable[str]) -> str | None:
    """The name that was perhaps meant: among the nearest ones one of the same letters, as npz is for nzp."""
    near = difflib.get_close_matches(name, list(names), n=3)
    return max(near, key=lambda candidate: sorted(candidate) == sorted(name), default=None)
