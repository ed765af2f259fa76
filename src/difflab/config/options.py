"""A command's options: a frozen dataclass of plain values, whose fields are the one list of the keys that the command knows.

@dataclass(frozen=True)
class SamplingOptions:
    num_samples: Positive
    eta: Annotated[NonNegative | None, Key(staged=True, protocol=("sampler.eta",))] = None

options = read_options(SamplingOptions, config)
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf

from difflab.config.build import plain
from difflab.config.groups import ConfigError
from difflab.config.values import check_value

Options = TypeVar("Options")


@dataclass(frozen=True)
class Key:
    """What is known of a key of a command besides its kind and its default; one of the annotations of its field.

    Attributes:
        of_model: Whether only a model can be told it: images that exist are drawn already.
        staged: Whether it may differ between the stages of a cascade.
        protocol: The fields, or beginnings of fields, of a number's protocol that it determines.
        label: How a value of it is called where several are tried, as "{} steps".
        inside: Dotted key within its node -> what that has to be, as an annotation says.
        refers: Whether its node refers to what is known later, as ${variance} to a part of the model, and is resolved there.
        named: Whether its node is of several parts by name, each of which comes or goes as a whole.
        trained: Keys of a training's configuration that determine the same fields of the protocol.
    """

    of_model: bool = False
    staged: bool = False
    protocol: tuple[str, ...] = ()
    label: str = ""
    inside: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    refers: bool = False
    named: bool = False
    trained: tuple[str, ...] = ()


def keys_of(options: type) -> dict[str, Key]:
    """Name -> what is known of it, of all fields of a class of options.

    Args:
        options: The class.
    """
    notes = {name: typing.get_args(hint) for name, hint in typing.get_type_hints(options, include_extras=True).items()}
    return {name: next((note for note in several if isinstance(note, Key)), Key()) for name, several in notes.items()}


def read_options(options: type[Options], config: DictConfig) -> Options:
    """The options that a composed configuration sets; its other keys belong to somebody else.

    Args:
        options: A frozen dataclass, the annotations of whose fields say what their values have to be.
        config: As Hydra composes it.

    Raises:
        ConfigError: A value is missing, or of another kind than its annotation says.
    """
    hints = typing.get_type_hints(options, include_extras=True)
    known, given = keys_of(options), {}
    for field in dataclasses.fields(options):  # type: ignore[arg-type]
        name, key = field.name, known[field.name]
        if name not in config:
            if field.default is dataclasses.MISSING:
                raise ConfigError(f"{name} is missing: give {name}=...")
            continue
        node: Any = config._get_node(name)
        if key.refers and OmegaConf.is_config(node) and not node._is_none():
            value = OmegaConf.to_container(node, resolve=False)
        else:
            value = plain(config[name])
            check_value(name, value, hints[name])
        for inner, annotation in key.inside.items():
            _check_inside(node, name, inner, annotation)
        given[name] = value
    return options(**given)


def with_values(options: Options, values: Mapping[str, Any]) -> Options:
    """The options with other values, which are checked as those of a command are.

    Args:
        options: The others.
        values: Name -> value, plain.

    Raises:
        ConfigError: A value is of another kind than its annotation says.
    """
    hints = typing.get_type_hints(type(options), include_extras=True)
    for name, value in values.items():
        check_value(name, value, hints[name])
    return dataclasses.replace(options, **values)  # type: ignore[type-var]


def _check_inside(node: Any, name: str, inner: str, annotation: Any) -> None:
    for part in inner.split("."):
        if not isinstance(node, DictConfig) or node._is_none() or node._is_interpolation() or part not in node:
            return
        node = node._get_node(part)
    if not node._is_interpolation():
        check_value(f"{name}.{inner}", node if OmegaConf.is_config(node) else node._value(), annotation)
