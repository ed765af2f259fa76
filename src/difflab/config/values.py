"""Kinds of values, said by annotations: what a value must be, whether one is, and how that is put in words.

    Positive = Annotated[int, Ge(1)]            # "a whole number, at least 1"
    Values = TypedDict("Values", {"eval.every": Positive, "sampler.eta": NonNegative | None})
    check_values(config, Values)

The constructors of parts, the fields of options and the values of a command's own are all checked in this way, by pydantic.
"""

from __future__ import annotations

import inspect
import json
import math
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, TypedDict

from annotated_types import Ge, Le
from omegaconf import DictConfig, OmegaConf
from pydantic import AllowInfNan, ConfigDict, GetCoreSchemaHandler, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema

from difflab.config.groups import ConfigError, choose, whose


@dataclass(frozen=True)
class Matching:
    """Annotation of a text, or of a number written out, that matches a pattern.

    Attributes:
        description: What the pattern stands for, as in "track=... must be <description>".
        pattern: A regular expression of the whole text.
    """

    description: str
    pattern: str = r"(?s).+"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._matched, handler(source))

    def _matched(self, value: Any) -> Any:
        if re.fullmatch(self.pattern, str(value)) is None:
            raise ValueError(self.description)
        return value


@dataclass(frozen=True)
class Ascending:
    """Annotation of a list of numbers, each larger than the one before.

    Attributes:
        description: What it stands for.
    """

    description: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._ascending, handler(source))

    def _ascending(self, value: Any) -> Any:
        if any(a >= b for a, b in pairwise(value)):
            raise ValueError(self.description)
        return value


Positive = Annotated[int, Ge(1)]
Natural = Annotated[int, Ge(0)]
Several = Annotated[int, Ge(2)]
Finite = Annotated[float, AllowInfNan(False)]
NonNegative = Annotated[float, AllowInfNan(False), Ge(0)]
Fraction = Annotated[float, Ge(0), Le(1)]
Limits = Annotated[tuple[Finite, Finite], Ascending("two numbers, as [-1,1]")]
Seed = Annotated[int, Ge(0), Le(2**64 - 1)]
"""What a generator of torch can begin with."""

Word = str | int | float
"""A text, which YAML may take for a number."""

Folder = Annotated[Word, Matching("a folder")]
FileOrFolder = Annotated[Word, Matching("the path of a file or folder")]
RunName = Annotated[
    Word,
    Matching("a name, or several with / between them, none of them . or ..", r"(?!/)(?!(.*/)?\.{1,2}(/|$))[^\\]+"),
]
Precision = Annotated[
    Word, Matching("32-true, bf16-mixed or 16-mixed: weights stay float32", r"32(-true)?|(bf)?16(-mixed)?")
]

RunValues = TypedDict(
    "RunValues",
    {
        "trainer.max_steps": Positive,
        "run.name": RunName,
        "condition_dropout": Fraction | Mapping[str, Fraction],
        "trainable": list[str],
        "lr_scale": Mapping[str, float] | None,
        "trainer.log_every_n_steps": Positive,
        "trainer.gradient_clip_val": NonNegative | None,
        "trainer.precision": Precision,
        "eval.num_samples": Positive,
        "eval.batch_size": Positive,
        "eval.grid": Positive,
        "eval.score_splits": Positive,
        "checkpoint.every": Positive,
        "checkpoint.keep_last": Positive,
        "checkpoint.milestone": Natural,
        "ema_snapshots.every": Natural,
        "run.root": Folder,
        "run.restart": bool,
        "run.margin": NonNegative,
        "data.num_workers": Natural,
        "data.max_images": Several | None,
    },
)
"""Of a training: what no constructor is asked for, or what Lightning and torch take as it comes; what it is called, below run.root."""

Seeds = TypedDict("Seeds", {"seed": Seed, "data.seed": Seed, "module.seed": Seed})
"""Of a training."""


def check_values(config: DictConfig, *kinds: type) -> None:
    """Raises a ConfigError for a value of another kind than its dotted key wants. Keys that the configuration has not are left out.

    Args:
        config: Composed.
        kinds: Classes whose annotations are what the keys of these names want; a TypedDict can name dotted keys.
    """
    wanted = {key: hint for one in kinds for key, hint in typing.get_type_hints(one, include_extras=True).items()}
    for key, annotation in wanted.items():
        above, _, name = key.rpartition(".")
        node = OmegaConf.select(config, above) if above else config
        if isinstance(node, DictConfig) and name in node:
            check_value(key, node[name], annotation)


def check_value(key: str, value: Any, annotation: Any) -> None:
    """Raises a ConfigError for a value that is not what an annotation says.

    Args:
        key: As it is typed.
        value: Plain, or a node of plain values.
        annotation: As of a constructor's argument.
    """
    plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    if not fits(plain, annotation):
        raise ConfigError(f"{key}={shown(plain)} must be {described(annotation, key)}{whose([key])}")


_WORDS: dict[Any, tuple[str, str]] = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    str: ("a text", "texts"),
    NoneType: ("null", "null"),
}
"""Kind of a plain value -> what one is, and what several are."""


def fits(value: Any, annotation: Any) -> bool:
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


def described(annotation: Any, key: str) -> str:
    """What a value has to be, in words."""
    classes = classes_of(annotation)
    if classes:
        return f"a part ({' or '.join(one.__name__ for one in classes)}){choose(key)}"
    return _in_words(annotation)


def _in_words(annotation: Any) -> str:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _bounded(inner)
    if annotation in _WORDS:
        return _WORDS[annotation][0]
    if origin is typing.Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is typing.Union or isinstance(annotation, UnionType):
        plain = [one for one in inner if not classes_of(one)] or list(inner)
        *words, last = dict.fromkeys(map(_in_words, sorted(plain, key=lambda one: one is NoneType)))
        comma = "," if any(", " in word for word in words) else ""
        return f"{', '.join(words)}{comma} or {last}" if words else last
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


def _bounded(parts: tuple[Any, ...]) -> str:
    """What an annotated type must be, from the type and its annotations."""
    kind, *notes = parts
    if own := [note.description for note in notes if isinstance(note, Matching | Ascending)]:
        return own[0]
    bounds = [
        f"at least {note.ge}" if isinstance(note, Ge) else f"at most {note.le}"
        for note in notes
        if isinstance(note, Ge | Le)
    ]
    return ", ".join([_in_words(kind), *([" and ".join(bounds)] if bounds else [])])


def _several(annotation: Any) -> str:
    if annotation in _WORDS:
        return _WORDS[annotation][1]
    if classes := classes_of(annotation):
        return f"parts ({' or '.join(one.__name__ for one in classes)})"
    known = [one for one in typing.get_args(annotation) if one in _WORDS]
    return _WORDS[known[0]][1] if known else "values"


def classes_of(annotation: Any) -> tuple[type, ...]:
    """The classes of an annotation that is nothing but a class or several; empty for any other."""
    if isinstance(annotation, UnionType) or typing.get_origin(annotation) is typing.Union:
        found = [classes_of(one) for one in typing.get_args(annotation) if one is not NoneType]
        return tuple(one for several in found for one in several) if all(found) else ()
    one = typing.get_origin(annotation) or annotation
    is_one = inspect.isclass(one) and one.__module__ not in ("builtins", "typing", "collections.abc", "pathlib")
    return (one,) if is_one and not getattr(one, "_is_protocol", False) else ()


def shown(value: Any) -> str:
    """A value as it is typed."""
    plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return plain if isinstance(plain, str) else json.dumps(plain).replace("NaN", "nan").replace("Infinity", "inf")
