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
from hydra.errors import HydraException
from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from difflab.cli.places import config_directory

SEVERAL = ("ema", "guidance", "embedder", "logger", "metric")
"""Groups of which several parts can be chosen, each under its name."""

FREE_NAMES = frozenset({"ema", "guidance", "embedder", "logger", "metric", "target"})
"""Nodes whose keys are names of the user's choice."""

_HYDRA_KEYS = frozenset({"_target_", "_partial_", "_convert_", "_args_", "_recursive_"})


class ConfigError(ValueError):
    """A configuration that cannot be run; the message is one line that says what to change."""


def compose_or_explain(config_name: str, overrides: list[str]) -> DictConfig:
    """The composed configuration; a ConfigError that names the near key where an override fits nothing."""
    try:
        return compose(config_name, overrides=overrides, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        base = compose(config_name)
        for override in OverridesParser.create().parse_overrides(overrides):
            key = override.key_or_group
            is_group = "/" in key or (config_directory() / key).is_dir()
            if is_group and "Could not find" in str(error):
                _explain_choice(key, override.value())
            elif not is_group and not override.is_add() and not override.is_delete():
                _explain_path(base, key)
        message = str(error).partition("Config search path")[0]
        raise ConfigError(" ".join(message.split())) from error


def composed(config_name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The configuration that other overrides than the command's would give."""
    if GlobalHydra.instance().is_initialized():
        return compose(config_name, overrides=list(overrides))
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return compose(config_name, overrides=list(overrides))


def _explain_choice(group: str, choice: object) -> None:
    """Raises if a group has no such choice."""
    folder = config_directory() / group
    for name in choice if isinstance(choice, list) else [choice]:
        choices = sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))
        if isinstance(name, str) and name not in choices and choices:
            near = difflib.get_close_matches(name, choices, n=1)
            several = (
                f"there are {', '.join(choices)}" if len(choices) < 20 else f"python train.py +{group}=list names them"
            )
            raise ConfigError(
                f"{group}={name}: there is no such choice; {f'did you mean {near[0]!r}?' if near else several}"
            )


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


def check_nothing_missing(config: DictConfig) -> None:
    """Raises a ConfigError that names the values without which this configuration cannot be run."""
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise ConfigError(
            f"{', '.join(missing)} must be given: add {' '.join(f'{key}=...' for key in missing)} to the command"
        )


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
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters]


def _explain_path(base: DictConfig, path: str) -> None:
    """Raises if a dotted path leads nowhere in the base configuration."""
    node: Any = base
    parts = path.split(".")
    for depth, part in enumerate(parts):
        if isinstance(node, DictConfig) and part not in node:
            above = ".".join(parts[:depth])
            elsewhere = [leaf for leaf in _leaves(base, "") if leaf.rsplit(".", 1)[-1] == parts[-1]]
            if len(parts) == 1 and elsewhere:
                raise ConfigError(f"unknown key {path!r}: did you mean {elsewhere[0]!r}?")
            raise ConfigError(_unknown(".".join(parts[: depth + 1]), above or "the configuration", map(str, node)))
        node = OmegaConf.select(node, part) if isinstance(node, DictConfig) else None
        if node is None:
            return


def _leaves(node: DictConfig, path: str) -> list[str]:
    """All dotted paths below a node."""
    found = []
    for key in node:
        inner = f"{path}.{key}" if path else str(key)
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not child._is_interpolation() and not child._is_none():
            found += _leaves(child, inner)
        else:
            found.append(inner)
    return found


def _unknown(path: str, user: str, allowed: Iterable[str]) -> str:
    names = [name for name in allowed if name not in _HYDRA_KEYS]
    key = path.rsplit(".", 1)[-1]
    near = difflib.get_close_matches(key, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(names))}"
    return f"unknown key {path!r}: {user} has no {key!r}; {hint}"
