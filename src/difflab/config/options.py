"""A command's options, and those of the stages of a cascade.

Options are a frozen dataclass of plain values, whose fields are the one list of the keys that the command knows:

@dataclass(frozen=True)
class SamplingOptions:
    num_samples: Positive
    eta: Annotated[NonNegative | None, Key(staged=True, protocol=("sampler.eta",))] = None

options = read_options(SamplingOptions, config)

Words that are words themselves: of one stage of a cascade, stage.1.steps=25, and of a sweep, sweep.steps=[10,25].

What stands behind stage.<number>. is a word as the command knows it, groups included: stage.0.sampler=ddim, stage.0.sampler.eta=1,
'stage.0.guidance=[clip,classifier]'. Words without it hold for all stages.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf, open_dict

from difflab.config.build import plain
from difflab.config.groups import ConfigError, command_words
from difflab.config.keys import check_nothing_missing, compose_or_explain, composing
from difflab.config.values import check_value
from difflab.config.words import quoted

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


_STAGE = re.compile(r"stage\.(?P<rest>.+)", re.DOTALL)
_AXIS = re.compile(r"sweep\.(?P<key>\w[\w.]*)=(?P<values>.*)", re.DOTALL)
_NUMBERED = re.compile(r"(?P<number>\d+)\.(?P<word>(?P<key>[^.=/@]+)[^=]*=.*)", re.DOTALL)


def gathered(words: Sequence[str]) -> list[str]:
    """A command's words as Hydra can read them: stage=["0.steps=250","1.steps=25"], +sweep={sampler.grid.steps:[10,25]}.

    What is swept may be any key of a model's sampling, of which the command's own configuration has but a few.
    """
    found = [match["rest"] for word in words if (match := _STAGE.fullmatch(word))]
    others = [_AXIS.sub(r"+sweep={\g<key>:\g<values>}", word) for word in words if not _STAGE.fullmatch(word)]
    if not found:
        return others
    return [*others, f"stage=[{','.join(map(quoted, found))}]"]


def of_first_stage(words: Sequence[str]) -> list[str]:
    """A command's words as they would be if its first stage were all."""
    found = []
    for word in words:
        match = _STAGE.fullmatch(word)
        if match is None and word.partition("=")[0] != "stages":
            found.append(word)
        elif match is not None and match["rest"].startswith("0."):
            found.append(match["rest"].removeprefix("0."))
    return found


def stage_words(given: Sequence[str], count: int, options: type) -> list[list[str]]:
    """The words of each stage.

    Args:
        given: Words without their beginning: 1.steps=25.
        count: Stages.
        options: Class of the command's options, whose fields say which keys may differ between stages.

    Raises:
        ConfigError: One of the words cannot be said of a stage, or there is no such stage.
    """
    staged = [name for name, key in sorted(keys_of(options).items()) if key.staged]
    found: list[list[str]] = [[] for _ in range(count)]
    for text in given:
        match = _NUMBERED.fullmatch(text)
        if match is None:
            raise ConfigError(f"stage.{text}: expected stage.<number>.<key>=<value>, as stage.1.steps=25")
        number = int(match["number"])
        if number >= count:
            there_are = (
                f"there are {count} stages, 0 to {count - 1}"
                if count
                else "there are no stages: give stages=[BASE,UPSAMPLER]"
            )
            raise ConfigError(f"stage.{text}: {there_are}")
        if match["key"] not in staged:
            raise ConfigError(
                f"stage.{text}: a stage can have its own {', '.join(staged)}. All else is of the whole: leave `stage.{number}.` out"
            )
        found[number].append(match["word"])
    return found


def options_of_stages(config: DictConfig, command: str, options: type[Options]) -> list[Options]:
    """The command's options for each stage of a cascade, or for the one model that it names.

    Args:
        config: Of the command, composed.
        command: Whose configuration it is: sample or evaluate.
        options: Their class; its fields say which keys may differ between stages.

    Raises:
        ConfigError: A word is wrong; the message names the stage.
    """
    names, words = [str(name) for name in plain(config.stages)], _words(config)
    own = stage_words(words, len(names), options)
    if not names:
        return [read_options(options, config)]
    if config.get("checkpoint") not in (None, *names):
        raise ConfigError(f"checkpoint={config.checkpoint} and stages=[{','.join(names)}]: leave checkpoint out")
    found = []
    for i, (name, said) in enumerate(zip(names, own, strict=True)):
        stage = _with_words(config, command, said, i) if said else config.copy()
        with open_dict(stage):
            stage.checkpoint = name
            if i:
                stage.low_res = None
            if i < len(names) - 1:
                stage.format = {}  # its shards are what the next stage reads
        try:
            check_nothing_missing(stage)
            found.append(read_options(options, stage))
        except ConfigError as error:
            raise ConfigError(f"stage {i} ({name}): {error}") from error
    return found


def _words(config: DictConfig) -> list[str]:
    words: Any = OmegaConf.to_container(config.stage, resolve=False)  # they refer to a stage's own configuration
    return words


def _with_words(config: DictConfig, command: str, words: list[str], stage: int) -> DictConfig:
    """The configuration in which what the stage's own words speak of is as they say.

    They are read after the words of all stages, as on a command line of their own.
    """
    common = [
        word
        for word in command_words()
        if word.lstrip("+~").partition("=")[0] not in ("stages", "stage", "hydra.searchpath")
    ]
    try:
        with composing():
            composed = compose_or_explain(command, [*common, *words])
    except ConfigError as error:
        raise ConfigError(f"stage.{stage}: {error}") from error
    own = config.copy()
    with open_dict(own):
        for key in {word.partition("=")[0].lstrip("+~").replace("/", ".").split(".")[0] for word in words}:
            own[key] = composed._get_node(key)
    return own
