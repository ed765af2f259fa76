"""From nodes of a configuration to parts and plain values: what the other packages ask of Hydra and OmegaConf, who know neither."""

from __future__ import annotations

import inspect
import os
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import (
    InterpolationKeyError,
    InterpolationToMissingValueError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from difflab.config.groups import ConfigError, is_typed
from difflab.config.near_keys import lacking
from difflab.runtime.invocation import installation_of, missing_package

REFERENCE = re.compile(r"\$\{([A-Za-z_][\w.]*)\}")
"""An interpolation that is another node of the configuration, and nothing else."""


def build(node: Any, typed: DictConfig | None = None, **given: Any) -> Any:
    """Builds what a node describes; all that stands inside it becomes plain lists and dictionaries, or is built too.

    Args:
        node: A node with a `_target_`, or one with several such nodes in it: of a configuration, or the plain mapping of one.
        typed: The configuration in which references still stand, so that an error names the key that the user has typed.
        given: Arguments that the node does not hold, or others than it holds.

    Returns:
        The part; a mapping or a list of parts for a node of several.

    Raises:
        ConfigError: It cannot be built. One line says which node it was, and why.
    """
    try:
        return hydra.utils.instantiate(node, _convert_="all", **given)
    except InstantiationException as error:
        raise ConfigError(cause(error, typed)) from error
    except OmegaConfBaseException as error:
        raise ConfigError(" ".join(str(error).split())) from error


def plain(node: Any) -> Any:
    """The node as dictionaries, lists and scalars, its references replaced by what they lead to; a plain value stays as it is.

    A value that is missing stays "???".

    Raises:
        ConfigError: A reference leads nowhere.
    """
    if not OmegaConf.is_config(node):
        return node
    try:
        return OmegaConf.to_container(node, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(" ".join(str(error).split())) from error


def resolved(config: Mapping[str, Any], path: str = "") -> Any:
    """The plain configuration in which references among parts, as ${variance}, are replaced by what they lead to.

    Args:
        config: Of a model with all of its parts, or of some parts that refer to each other.
        path: Of the part that is wanted; the references of others are not followed. Empty for all.

    Raises:
        ConfigError: A value is taken from a part that has no such value, or from none.
    """
    made = OmegaConf.create(dict(config))
    try:
        return plain(OmegaConf.select(made, path) if path else made)
    except ConfigError as error:
        reason = error.__cause__
        if isinstance(reason, InterpolationKeyError) and (explained := lacking(reason, str(reason.full_key), made)):
            raise ConfigError(explained) from reason
        raise


def complete(node: Any) -> Any:
    """The node as plain values; None if one of them is missing.

    Raises:
        ConfigError: A reference leads nowhere.
    """
    try:
        return OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    except (MissingMandatoryValue, InterpolationToMissingValueError):
        return None
    except OmegaConfBaseException as error:
        raise ConfigError(" ".join(str(error).split())) from error


def as_yaml(config: Any) -> str:
    """The configuration as YAML, its references resolved, as a run stores it."""
    return OmegaConf.to_yaml(config, resolve=True)


def target(node: Mapping[str, Any] | str) -> Any:
    """The class or function that a node, or a dotted name, calls; it is not called.

    Raises:
        ConfigError: There is none of that name.
    """
    name = node if isinstance(node, str) else node["_target_"]
    try:
        return hydra.utils.get_object(str(name))
    except Exception as error:  # the module that it is in may fail in any way
        raise ConfigError(f"{name} cannot be imported: {' '.join(str(error).split())}") from error


@contextmanager
def one_line() -> Iterator[None]:
    """Within the context what Hydra and OmegaConf raise becomes a ConfigError of one line."""
    try:
        yield
    except InstantiationException as error:
        raise ConfigError(cause(error)) from error
    except OmegaConfBaseException as error:
        raise ConfigError(" ".join(str(error).split())) from error


@contextmanager
def extended(config: Any) -> Iterator[None]:
    """Within the context keys can be added to a configuration that refuses new ones."""
    with open_dict(config):
        yield


def cause(error: BaseException, config: DictConfig | None = None) -> str:
    """The message of a failed instantiation, and where it happened.

    Args:
        error: As Hydra raises it.
        config: In which references still stand, so that the place is named as the user types it.
    """
    path = str(error).splitlines()[-1].removeprefix("full_key: ") if "full_key" in str(error) else ""
    cause = error
    while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
        cause = cause.__cause__
    text = " ".join(str(cause).split())
    path = path if config is None else typed_key(config, path)
    wiring = path == "" or path.partition(".")[0] == "module"
    return text if wiring or text.startswith((f"{path}.", f"{path}=")) else f"{path}: {text}"


def typed_key(config: DictConfig, path: str) -> str:
    """The key as the user types it: what a path in the wiring refers to."""
    node: Any = config
    parts = path.split(".")
    for depth, part in enumerate(parts):
        if not isinstance(node, DictConfig) or part not in list(node):
            return path
        node = node._get_node(part)
        match = REFERENCE.fullmatch(str(node._value())) if node._is_interpolation() else None
        if match and not is_typed(path) and _leads_somewhere(config, match[1]):
            return typed_key(config, ".".join([match[1], *parts[depth + 1 :]]))
    return path


def _leads_somewhere(config: DictConfig, path: str) -> bool:
    try:
        return OmegaConf.select(config, path, throw_on_missing=False) is not None
    except OmegaConfBaseException:
        return False


def _lies_here(target: str) -> str:
    """What to do where a name begins with a module of the current folder, which Python does not look into; "" elsewhere."""
    top = target.partition(".")[0]
    if not top or not (
        os.path.isfile(f"{top}.py") or os.path.isdir(top)
    ):  # pathlib's raise for a name that is too long
        return ""
    if top in sys.modules or find_spec(top) is not None:
        return ""
    return f": {top} lies in this folder, where Python looks with PYTHONPATH=. before the command"


def check_callable(target: str, path: str) -> Callable[..., Any]:
    """What a `_target_` names; a ConfigError where it names nothing that makes a part."""
    try:
        function = hydra.utils.get_object(target)
    except Exception as error:
        if package := missing_package(error, target):
            raise ConfigError(f"{path}: {target} needs the package {package}: {installation_of(package)}") from error
        reason = " ".join(str(error).split()) if target else "it is empty"
        raise ConfigError(f"{path}._target_: there is no {target} ({reason}){_lies_here(target)}") from error
    if not callable(function):
        raise ConfigError(f"{path}._target_={target} is a {type(function).__name__}, and makes nothing: name a class")
    return function


def arguments_of(function: Callable[..., Any]) -> list[str] | None:
    """Names of a constructor's arguments; None if it takes any."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # as of dict: it does not say
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters]


@cache
def annotations_of(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Argument -> annotation; none where they cannot be told."""
    try:
        hints = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function, include_extras=True)  # type: ignore[misc]
    except Exception:  # names that only a type checker sees
        return {}
    return {name: hint for name, hint in hints.items() if name != "return"}


@cache
def mappings_of(function: Callable[..., Any]) -> frozenset[str]:
    """Arguments that are mappings, whose keys are names of the user's choice."""
    return frozenset(name for name, hint in annotations_of(function).items() if typing.get_origin(hint) is Mapping)
