"""Words of a command that are words themselves: of one stage of a cascade, stage.1.steps=25, and of a sweep, sweep.steps=[10,25].

What stands behind stage.<number>. is a word as the command knows it, groups included: stage.0.sampler=ddim, stage.0.sampler.eta=1,
'stage.0.guidance=[clip,classifier]'. Words without it hold for all stages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf, open_dict

from difflab.config.build import plain
from difflab.config.groups import ConfigError, command_words
from difflab.config.keys import check_nothing_missing, compose_or_explain, composing
from difflab.config.options import keys_of, read_options
from difflab.config.words import quoted

Options = TypeVar("Options")

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
    """The configuration in which what the stage's own words speak of is as they say. They are read after the words of all stages, as on a
    command line of their own."""
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
