"""Values of a wrong kind, found before anything is built: what a part's constructor says of its arguments is what is asked of them.

There is no list of keys here. A part of difflab, of torch or of the user's own is checked by the annotations of its constructor, as
`lr: float` and `betas: tuple[float, float]`; what they leave open, the constructor itself refuses.
"""

from __future__ import annotations

import inspect
import json
import math
import typing
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from difflab.config.build import REFERENCE, typed_key
from difflab.config.groups import ConfigError, choose, whose
from difflab.config.keys import check_callable
from difflab.config.near_keys import lacking
from difflab.config.paths import is_group

_WORDS: dict[Any, tuple[str, str]] = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    str: ("a text", "texts"),
    NoneType: ("null", "null"),
}
"""Kind of a plain value -> what one is, and what several are."""


def check_arguments(config: DictConfig) -> None:
    """Raises a ConfigError for a value that the constructor which gets it does not take.

    A value that stands somewhere else, as `every: ${eval.every}`, is named as it is typed there.

    Args:
        config: Composed, its references not yet replaced by what they lead to.
    """
    for path, node in _parts(config, ""):
        function = check_callable(str(node._get_node("_target_")), path)
        for name, annotation in _annotations(function).items():
            child: Any = node._get_node(name) if name in list(node) else None
            if child is not None and not child._is_missing():
                _check(node, name, f"{path}.{name}" if path else name, annotation)


def _parts(node: Any, path: str) -> Iterator[tuple[str, DictConfig]]:
    """(path, node) of everything that is to be built, where it stands."""
    if (
        not isinstance(node, DictConfig | ListConfig)
        or node._is_interpolation()
        or node._is_none()
        or node._is_missing()
    ):
        return
    if isinstance(node, ListConfig):
        for i in range(len(node)):
            yield from _parts(node._get_node(i), f"{path}[{i}]")
        return
    if "_target_" in node:
        yield path, node
    for key in node:
        yield from _parts(node._get_node(key), f"{path}.{key}" if path else str(key))


@cache
def _annotations(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Argument -> annotation; none where they cannot be told."""
    try:
        hints = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)  # type: ignore[misc]
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
    if isinstance(value, DictConfig | ListConfig) and next(_parts(value, ""), None) is not None:
        _check_parts(value, key, annotation)
        return
    try:
        plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except OmegaConfBaseException as error:
        raise ConfigError(f"{key}: {' '.join(str(error).partition('full_key')[0].split())}") from error
    if not _fits(plain, annotation):
        raise ConfigError(f"{key}={shown(plain)} must be {_described(annotation, key)}{whose([key])}")


def _check_parts(value: DictConfig | ListConfig, key: str, annotation: Any) -> None:
    """Checks that a part, or each of several, is of the class that is asked for."""
    if isinstance(value, DictConfig) and "_target_" in value:
        wanted, made = _classes(annotation), _made(value)
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
        elif element and _classes(element[0]):
            raise ConfigError(f"{path}={shown(one)} must be {_described(element[0], path)}")


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


def _classes(annotation: Any) -> tuple[type, ...]:
    """The classes of an annotation that is nothing but a class or several; empty for any other."""
    if isinstance(annotation, UnionType) or typing.get_origin(annotation) is typing.Union:
        found = [_classes(one) for one in typing.get_args(annotation) if one is not NoneType]
        return tuple(one for several in found for one in several) if all(found) else ()
    one = typing.get_origin(annotation) or annotation
    is_one = inspect.isclass(one) and one.__module__ not in ("builtins", "typing", "collections.abc", "pathlib")
    return (one,) if is_one and not getattr(one, "_is_protocol", False) else ()


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a plain value is what an annotation says. A list stands for any sequence, a whole number for a number; no number is nan."""
    if _has_nan(value):
        return False
    adapter = _adapter_of(annotation)
    if adapter is None:
        return True
    try:
        adapter.validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError:
        return False
    return True


def _has_nan(value: Any) -> bool:
    if isinstance(value, list | dict):
        return any(map(_has_nan, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and math.isnan(value)


def _adapter_of(annotation: Any) -> TypeAdapter[Any] | None:
    try:
        return _adapter(annotation)
    except TypeError:  # an annotation that cannot be hashed
        return None


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any] | None:
    """What checks values of an annotation; None where it does not say what values there are."""
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except (PydanticUserError, NameError):
        return None


def _described(annotation: Any, key: str) -> str:
    """What a value has to be, in words."""
    classes = _classes(annotation)
    if classes:
        return f"a part ({' or '.join(one.__name__ for one in classes)}){choose(key)}"
    return _in_words(annotation)


def _in_words(annotation: Any) -> str:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in _WORDS:
        return _WORDS[annotation][0]
    if origin is typing.Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is typing.Union or isinstance(annotation, UnionType):
        plain = [one for one in inner if not _classes(one)] or list(inner)
        *words, last = dict.fromkeys(map(_in_words, sorted(plain, key=lambda one: one is NoneType)))
        return f"{', '.join(words)} or {last}" if words else last
    if origin is tuple and Ellipsis not in inner:
        return f"a list of {len(inner)} {_several(inner[0])}"
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return "keys with values, as {key: value}"
    if inspect.isclass(origin) and inner and not issubclass(origin, Callable):  # type: ignore[arg-type]
        return f"a list of {_several(inner[0])}, as [..., ...]"
    if origin is Callable or origin is typing.get_origin(Callable[..., Any]) or annotation is Callable:
        return "a part, a node with _target_"
    return (
        "a path"
        if getattr(annotation, "__name__", "") == "Path"
        else f"a {getattr(annotation, '__name__', annotation)}"
    )


def _several(annotation: Any) -> str:
    if annotation in _WORDS:
        return _WORDS[annotation][1]
    if classes := _classes(annotation):
        return f"parts ({' or '.join(one.__name__ for one in classes)})"
    known = [one for one in typing.get_args(annotation) if one in _WORDS]
    return _WORDS[known[0]][1] if known else "values"


def shown(value: Any) -> str:
    """A value as it is typed."""
    plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return plain if isinstance(plain, str) else json.dumps(plain).replace("NaN", "nan").replace("Infinity", "inf")
