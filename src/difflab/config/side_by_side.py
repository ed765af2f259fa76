"""Configurations side by side: the words of a training, in which a list makes a row of each of its values; nothing is trained of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict

from difflab.config.arguments import check_arguments
from difflab.config.build import plain
from difflab.config.groups import ConfigError, takes_several
from difflab.config.keys import check_keys, check_nothing_missing
from difflab.config.multirun import choices_of_word
from difflab.config.paths import is_group
from difflab.config.run import composed_as_running, schema
from difflab.config.sweep_rows import swept
from difflab.config.unchosen import drop_unchosen
from difflab.config.values import Folder, check_value
from difflab.config.words import as_meant, readable

PARTS = ("schedule", "parameterization", "objective", "sampler", "data", "space")
"""What is told of a configuration. The network is not among them: nothing large is built."""

MOST = 24
"""Rows: more could not be told apart."""


@dataclass(frozen=True)
class Side:
    """One of several configurations.

    Attributes:
        name: What it does not share with the others: cosine, or "schedule=cosine sampler.grid.steps=25".
        parts: Name of a part -> its plain node; None where there is none.
    """

    name: str
    parts: Mapping[str, Any]


def side_by_side(command: str, words: Sequence[str]) -> tuple[list[Side], str]:
    """The configurations that the words describe, and the folder of what is made of them.

    Args:
        command: conf/<command>.yaml, train.yaml with keys of its own.
        words: As they were typed.

    Raises:
        ConfigError: One of them is wrong; the message names its row.
    """
    rows = _rows(readable(as_meant(command, words)))
    differing = swept(rows)
    found, folders = list[Side](), list[str]()
    for row in rows:
        which = [word.lstrip("+") for word in row if word in differing]
        try:
            config = composed_as_running(command, row)
            folders.append(_folder(config))
            parts = _parts(config)
        except ConfigError as error:
            told = not which or str(error).startswith(which[0])
            raise ConfigError(str(error) if told else f"{' '.join(which)}: {error}") from error
        found.append(Side(_name(which), parts))
    if len(set(folders)) > 1:
        raise ConfigError(f"out={','.join(dict.fromkeys(folders))}: one folder holds all rows")
    return found, folders[0]


def _rows(words: Sequence[str]) -> list[list[str]]:
    try:
        overrides = OverridesParser.create().parse_overrides(list(words))
    except HydraException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    choices = [list(_choices(override)) for override in overrides]
    for override, found in zip(overrides, choices, strict=True):
        if not found:
            raise ConfigError(f"{override.input_line}: no choice, hence no row: name at least one")
    rows = [list(dict.fromkeys(row)) for row in product(*choices)]
    if len(rows) > MOST:
        raise ConfigError(f"{len(rows)} rows are more than can be told apart: at most {MOST}")
    return rows


def _choices(override: Override) -> Iterator[str]:
    """An override as each row has it: a list of choices, where a group takes one alone, is one of each."""
    value, group = (None if override.is_delete() else override.value()), override.key_or_group
    if isinstance(value, list) and is_group(group) and not takes_several(group):
        yield from (f"{override.get_key_element()}={choice}" for choice in value)
    else:
        yield from choices_of_word(override)


def _folder(config: DictConfig) -> str:
    check_value("out", config.out, Folder)
    with open_dict(config):
        return str(config.pop("out"))


def _parts(config: DictConfig) -> dict[str, Any]:
    drop_unchosen(config)
    check_keys(config, schema("train"))
    needed = config.copy()
    with open_dict(needed):
        for key in [key for key in needed if key not in PARTS or key == "data"]:  # whose files need not be at hand
            needed.pop(key)
    check_nothing_missing(needed)
    check_arguments(config)
    return {name: plain(config.get(name)) for name in PARTS}


def _name(which: Sequence[str]) -> str:
    """Of the words by which a row differs; the value alone where it is one word."""
    if not which:
        chosen = HydraConfig.get().runtime.choices
        return str(chosen.get("experiment") or chosen.get("schedule"))
    return which[0].partition("=")[2] if len(which) == 1 else " ".join(which)
