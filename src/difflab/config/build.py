"""From nodes of a configuration to parts and plain values: what the other packages ask of Hydra and OmegaConf, who know neither."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
