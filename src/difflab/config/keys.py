"""Wrong keys, found before anything is built.

Hydra refuses an unknown key on the command line. One inside an experiment's yaml it merges without a word, so every key of the composed
configuration is compared with what can use it: the constructor's arguments of the node's `_target_`, or the base configuration.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.defaults_list import Overrides
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import OmegaConfBaseException

from difflab.config.arguments import KNOWN_TO_CALLBACKS, KNOWN_TO_LOGGERS, SAVE_DIR, check_trainer
from difflab.config.build import arguments_of, check_callable, mappings_of
from difflab.config.groups import (
    ConfigError,
    check_choice,
    check_outer_chosen,
    choose,
    command_words,
    explain_choice,
    explain_group,
    takes_several,
    whose,
)
from difflab.config.near_keys import HYDRA_KEYS, children, explain_path, explain_top, path_among, unknown
from difflab.config.paths import config_directory, is_group, search_words
from difflab.config.words import as_meant, readable, short_for
from difflab.runs.identity import ONLY_WATCHES

FREE_NAMES = frozenset({"target", "lr_scale"})
"""Nodes of no part whose keys are names of the user's choice. Those of parts are known by the annotations of their arguments."""

READ = frozenset({"trainer", "data"})
"""Parts whose keys are read by others as well: none of them can be deleted."""


_KNOWN_TO = {"logger": (*KNOWN_TO_LOGGERS, SAVE_DIR), "callbacks": KNOWN_TO_CALLBACKS}
"""Group -> arguments that its parts are told by the program."""

_SAID_OF = {"callbacks": ONLY_WATCHES}
"""Group -> a key that says something of the part and is no argument of its constructor."""


def compose_or_explain(config_name: str, overrides: list[str]) -> DictConfig:
    """The composed configuration; a ConfigError that names the near key where an override fits nothing."""
    typed, overrides = overrides, readable(as_meant(config_name, overrides))
    if refused := path_among(overrides):
        raise ConfigError(refused)
    try:
        return _composed_or_explained(config_name, overrides)
    except ConfigError as error:
        raise ConfigError(f"{error}{short_for(config_name, typed, str(error))}") from error


def _composed_or_explained(config_name: str, overrides: list[str]) -> DictConfig:
    parsed = [_parsed(override) for override in overrides]
    chosen = [override for override in parsed if is_group(override.key_or_group)]
    for override in chosen:
        check_choice(override)
    try:
        found = compose(config_name, overrides=[*search_words(), *overrides], return_hydra_config=True)
        for override in chosen:
            check_outer_chosen(override.key_or_group, found)
        return found
    except (HydraException, OmegaConfBaseException, OSError) as error:
        if "Could not find" in str(error) or "Could not load" in str(error) or isinstance(error, OSError):
            for override in chosen:  # a choice, one of several choices
                explain_choice(override.key_or_group, override.value(), str(error))
        base = _base(config_name, chosen)
        explain_group(str(error), chosen, base)
        for override in parsed:
            if override not in chosen and not override.is_add():
                explain_path(base, override.key_or_group, config_name)
        message = str(error).partition("Config search path")[0]
        raise ConfigError(" ".join(message.split())) from error


def composed(config_name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The configuration that other overrides than the command's would give."""
    with composing():
        return compose(config_name, overrides=[*search_words(), *readable(overrides)])


@contextmanager
def composing() -> Iterator[None]:
    """Within the context Hydra composes from conf/, as it does within its own main function."""
    if GlobalHydra.instance().is_initialized():
        yield
        return
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        yield


def _parsed(override: str) -> Override:
    """What an override says; a ConfigError if it cannot be read."""
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{override!r} cannot be read as key=value or 'key=[value,value]' ({reason})") from error


def _base(config_name: str, chosen: Sequence[Override]) -> DictConfig:
    """The configuration that overrides of values apply to: with the command's own choices of parts, where these fit together."""
    lines = [*search_words(), *(override.input_line for override in chosen if override.input_line is not None)]
    try:
        return compose(config_name, overrides=lines, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException):
        return compose(config_name, return_hydra_config=True)


def _take_exchanged(overrides: Overrides) -> None:
    """Has Hydra compose an experiment that chooses inside a part (`override /network/norm: addgn`) when somebody else exchanges the part.

    Hydra refuses such a choice, since network=superres has no network/norm. There is no setting for it, and rows of a sweep are composed by
    Hydra itself. `config.unchosen` says what was left out. One file that does both is wrong, and so is a choice of the command.
    """
    metadata = overrides.override_metadata
    for key, inner in metadata.items():
        by_others = [
            outer
            for group, outer in metadata.items()
            if outer.used
            and key.startswith(f"{group}/")
            and outer.containing_config_path != inner.containing_config_path
        ]
        if by_others and not inner.external_override:
            inner.used = True
    _ensure_used(overrides)


_ensure_used, Overrides.ensure_overrides_used = Overrides.ensure_overrides_used, _take_exchanged  # type: ignore[method-assign]


def check_keys(config: DictConfig, base: DictConfig) -> None:
    """Checks that every key is used, and that none which is needed was deleted.

    Args:
        config: The configuration.
        base: The same without an experiment: what keys there are outside of constructors' arguments.

    Raises:
        ConfigError: A key is not used, or missing; the message names it.
    """
    for key in config:
        if str(key) not in base:
            explain_top(base, str(key))
    for key in base:
        if key not in config and is_group(str(key)):
            continue
        if key not in config:
            raise ConfigError(f"{key} is needed: leave ~{key} out")
        free = key in FREE_NAMES or takes_several(str(key))
        _check_node(config._get_node(key), base._get_node(key), str(key), free)
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
    for inner, child in children(node, path):
        if child._is_missing():
            found.append(inner)
        elif isinstance(child, DictConfig | ListConfig) and not child._is_interpolation() and not child._is_none():
            found += _missing(child, inner)
    return found


def _check_node(node: Any, base: Any, path: str, free: bool = False) -> None:
    """Checks a node and what is below it; `free` is whether its keys are names of the user's choice."""
    if isinstance(node, ListConfig) and not node._is_interpolation() and not node._is_none():
        for i in range(len(node)):
            _check_node(node._get_node(i), None, f"{path}[{i}]")
    if isinstance(base, DictConfig) and not free and not base._is_none():
        _check_like(node, base, path)
    if not isinstance(node, DictConfig) or node._is_interpolation() or node._is_missing() or node._is_none():
        return
    keys, named = [str(key) for key in node], frozenset[str]()
    if "_target_" in keys:
        function = check_callable(str(node._get_node("_target_")), path)
        allowed, named = arguments_of(function), mappings_of(function)
        if "_partial_" not in keys:
            _check_given(function, [*keys, *_KNOWN_TO.get(path.partition(".")[0], ())], path)
        user = f"{path} ({str(node._get_node('_target_')).rsplit('.', 1)[-1]})"
    elif free or not isinstance(base, DictConfig):
        allowed, user = None, path
    else:
        allowed, user = [str(key) for key in base], path
    if allowed is not None and (unused := _beyond(keys, allowed, path)):
        paths = [f"{path}.{key}" for key in unused]
        origin = whose(paths)
        remedy = f": {' '.join(f'~{one}' for one in paths)} leaves them out" if origin else ""
        raise ConfigError(unknown(paths[0], user, allowed) + origin + remedy)
    if isinstance(base, DictConfig) and "_target_" in keys and node._get_node("_target_") != base.get("_target_"):
        base = None  # of another part, whose inside is no model for this one's
    for key in keys:
        inner = base._get_node(key) if isinstance(base, DictConfig) and key in base else None
        _check_node(node._get_node(key), inner, f"{path}.{key}", key in named)


def unused_keys(part: DictConfig, path: str) -> list[str]:
    """The keys of a node with a `_target_` that what it names does not take."""
    allowed = arguments_of(check_callable(str(part._get_node("_target_")), path))
    return [] if allowed is None else _beyond([str(key) for key in part], allowed, path)


def _beyond(keys: Sequence[str], allowed: Sequence[str], path: str) -> list[str]:
    """The keys that are neither allowed nor Hydra's."""
    said = {*HYDRA_KEYS, _SAID_OF.get(path.partition(".")[0])}
    return [key for key in keys if key not in said and key not in allowed]


def _check_like(node: Any, base: DictConfig, path: str) -> None:
    """Raises where something else stands in the place of keys, and where one of them was deleted that no constructor has a value for."""
    is_part = "_target_" in base
    if not isinstance(node, DictConfig) or node._is_none():
        if not node._is_interpolation() and not node._is_missing():
            what = "a part" if is_part else f"keys ({', '.join(str(key) for key in base)})"
            raise ConfigError(f"{path}={node._value()} stands where {what} must be{choose(path) if is_part else ''}")
    elif not node._is_interpolation():
        read = path in READ or not is_part
        for key in [key for key in base if read and key not in list(node)]:
            raise ConfigError(f"{path}.{key} is needed: leave ~{path}.{key} out, or say what it is")
        if is_part and "_target_" not in node and not {f"~{path}", f"~{path}._target_"}.isdisjoint(command_words()):
            raise ConfigError(f"{path} has lost its _target_, which says what it is{choose(path)}")


def _check_given(function: Callable[..., Any], keys: Sequence[str], path: str) -> None:
    """Raises for an argument that a constructor cannot do without."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # as of dict: it does not say
        return
    for p in parameters:
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in keys:
            raise ConfigError(f"{path} ({function.__name__}) needs {p.name}: add {path}.{p.name}=...")
