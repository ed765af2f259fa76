"""Values of a wrong kind, found before anything is built: what a part's constructor says of its arguments is what is asked of them.

There is no list of keys here. A part of difflab, of torch or of the user's own is checked by the annotations of its constructor, as
`lr: float` and `betas: tuple[float, float]`; what they leave open, the constructor itself refuses.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from difflab.config.build import REFERENCE, typed_key
from difflab.config.groups import ConfigError, choose, whose
from difflab.config.keys import check_callable
from difflab.config.near_keys import lacking, parts
from difflab.config.paths import is_group
from difflab.config.values import classes_of, described, fits, shown


def check_arguments(config: DictConfig) -> None:
    """Raises a ConfigError for a value that the constructor which gets it does not take.

    A value that stands somewhere else, as `every: ${eval.every}`, is named as it is typed there.

    Args:
        config: Composed, its references not yet replaced by what they lead to.
    """
    for path, node in parts(config):
        function = check_callable(str(node._get_node("_target_")), path)
        for name, annotation in _annotations(function).items():
            child: Any = node._get_node(name) if name in list(node) else None
            if child is not None and not child._is_missing():
                _check(node, name, f"{path}.{name}" if path else name, annotation)


@cache
def _annotations(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Argument -> annotation; none where they cannot be told."""
    try:
        hints = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function, include_extras=True)  # type: ignore[misc]
    except Exception:  # names that only a type checker sees
        return {}
    return {name: hint for name, hint in hints.items() if name != "return"}


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
