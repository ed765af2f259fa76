"""The groups of conf/ and what can be chosen of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from difflab.config.paths import config_files, is_group, search_words
from difflab.reading import read_yaml
from difflab.runtime.invocation import command
from difflab.suggest import near_name, suggestion


class ConfigError(ValueError):
    """A configuration that cannot be run; the message is one line that says what to change."""


def choices_of(group: str) -> list[str]:
    """Names of everything that can be chosen of a group, those of its folders with their path."""
    return list(config_files(group))


def direct_choices(group: str) -> list[str]:
    """The same without those of its folders."""
    return [choice for choice in choices_of(group) if "/" not in choice]


def choose(key: str) -> str:
    """How a part is chosen, to be added to what is wrong with a value in its place; empty where no group has it.

    Args:
        key: Of the part, as network.norm or ema.warm_up.
    """
    for group in (key.replace(".", "/"), key.rpartition(".")[0].replace(".", "/")):
        if group and (names := direct_choices(group)):
            return f": choose one by {group}={'|'.join(names)}"
    return ""


def check_choice(override: Override) -> None:
    """Raises a ConfigError where a choice is neither a name nor, of a group that takes several, a list of them, as in ema=0.999."""
    if override.is_delete() or override.is_sweep_override():
        return
    group, value = override.key_or_group, override.value()
    names = value if isinstance(value, list) else [value]
    known = direct_choices(group)
    if not names or not all(isinstance(name, str) and name for name in names):
        said = (override.input_line or "").partition("=")[2]
        none = f", or {group}=none for none" if "none" in known else ""
        there_are = (
            ", ".join(name for name in known if name != "none") if len(known) < 20 else f"+{group}=list names them"
        )
        raise ConfigError(f"{group}={said} must name a choice: {there_are}{none}; a value is set by its own key")
    if len(names) > 1 and known and not takes_several(group):
        one, words = names[0], ",".join(map(str, names))
        raise ConfigError(
            f"{group}=[{words}]: only one can be chosen, as {group}={one}; `{command(f'train -m {group}={words}')}` runs them one after "
            "the other"
        )


def takes_several(group: str) -> bool:
    """Whether several of a group can be chosen, each of which stands under its own name then."""
    return any(package.startswith(f"{group}.") for package in _packages(group))


def is_global(group: str) -> bool:
    """Whether what is chosen of a group is laid over the whole configuration, as an experiment is."""
    return "_global_" in _packages(group)


def _packages(group: str) -> set[str]:
    """Where the choices of a group stand in the configuration, as their first lines say."""
    lines = map(_first_line, config_files(group, "*.yaml").values())
    return {line.removeprefix("# @package ") for line in lines if line.startswith("# @package ")}


@cache
def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline().rstrip("\n")


def explain_group(problem: str, chosen: Iterable[Override], base: DictConfig) -> None:
    """Raises a ConfigError where Hydra finds no such group to choose in: one that does not exist, or one of a part that was exchanged.

    Args:
        problem: What Hydra says.
        chosen: The command's choices.
        base: Composed without those that do not fit.
    """
    chosen = list(chosen)
    if twice := re.search(r"Multiple values for ([^.\s]+)\.", problem):
        for override in chosen:
            if override.is_add() and override.key_or_group == twice[1]:
                raise ConfigError(f"{override.input_line}: one is chosen already: leave the + out")
    match = re.search(r"(?:In '([^']+)': )?Could not override '([^']+)'", problem)
    if match is None:
        return
    file, group = match[1], match[2]
    if file:
        raise ConfigError(
            f"{file.replace('experiment/', 'experiment=')} chooses {group}, which there is not beside what else it chooses: leave that out"
        )
    if not any(override.key_or_group == group for override in chosen):
        return
    if group in base.hydra.runtime.choices:
        outer = [override.input_line or "" for override in chosen if group.startswith(f"{override.key_or_group}/")]
        raise ConfigError(f"there is no {group} beside {' '.join(outer)}: leave that out")
    check_outer_chosen(group, base)
    groups = [str(name) for name in base.hydra.runtime.choices if not str(name).startswith("hydra")]
    raise ConfigError(f"unknown group {group!r}: {suggestion(group, sorted(groups))}")


def check_outer_chosen(group: str, base: DictConfig) -> None:
    """Raises a ConfigError for a part of a part, where the outer part is left to the run: sampler/grid=karras without sampler=heun.

    Args:
        group: Which the command chooses in.
        base: Composed, with that choice or without it.
    """
    outer, _, inner = group.rpartition("/")
    if outer and base.hydra.runtime.choices.get(outer, outer) is None:
        having = [name for name in direct_choices(outer) if _has_inner(config_files(outer)[name], inner)]
        if having:
            raise ConfigError(f"{group}: no {outer} is chosen; choose one as well, {outer}={'|'.join(having)}")


def _has_inner(file: Path, inner: str) -> bool:
    """Whether a choice's file chooses in a group of its own of this name."""
    content = read_yaml(file)
    defaults = content.get("defaults", []) if isinstance(content, dict) else []
    return any(isinstance(one, dict) and inner in one for one in defaults)


def explain_choice(group: str, choice: object, problem: str = "") -> None:
    """Raises a ConfigError if a group has no such choice.

    Args:
        group: As it was named.
        choice: A name, or several; those of a folder of the user's own are not known here.
        problem: What Hydra says of it, with the one that it has not found.
    """
    from difflab.config.words import choice_aliases

    names = choice if isinstance(choice, list) else [choice]
    for name in [name for name in names if f"{group}/{name}'" in problem] or names:
        choices = choices_of(group)
        if isinstance(name, str) and name not in choices and choices:
            if os.path.isfile(Path("conf", group, f"{name}.yaml")):
                raise ConfigError(
                    f"{group}={name[:80]} lies in the folder conf of this one: add --config-dir conf to the command"
                )
            near = near_name(name, [*choices, *choice_aliases(group)])
            several = (
                f"there are {', '.join(choices)}"
                if len(choices) < 20
                else f"`{command(f'train +{group}=list')}` names them"
            )
            raise ConfigError(f"{group}={name[:80]}: no such choice; {f'did you mean {near!r}?' if near else several}")


def whose(keys: Sequence[str]) -> str:
    """Says of keys that the experiment sets, and not the command, that it does; empty where it does not."""
    if not HydraConfig.initialized():
        return ""
    experiment = HydraConfig.get().runtime.choices.get("experiment")
    set_there = _experiment(str(experiment))
    theirs = [key for key in keys if _sets(set_there, key) and not is_typed(key)]
    if not theirs:
        return ""
    return f" (experiment={experiment} sets {', '.join(theirs)})"


def _experiment(name: str) -> Any:
    """What an experiment sets, from its file; None where there is none."""
    for source in HydraConfig.get().runtime.config_sources:
        file = Path(source.path) / "experiment" / f"{name}.yaml"
        if source.schema == "file" and file.is_file():
            return read_yaml(file)
    return None


def _sets(content: Any, key: str) -> bool:
    for name in key.split("."):
        if not isinstance(content, dict) or name not in content:
            return False
        content = content[name]
    return True


def is_typed(key: str) -> bool:
    """Whether the command itself says what a key is."""
    return any(key == word or key.startswith((f"{word}.", f"{word}[")) for word in typed_keys() if not is_group(word))


def command_words() -> list[str]:
    """The words of the command, key=value, as they were typed: an interpolation in one is not followed."""
    if not HydraConfig.initialized():
        return []
    words: Any = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    return [*search_words(), *words]


def typed_keys() -> list[str]:
    """The keys that the command itself sets, and the groups in which it chooses, in their order."""
    return [word.lstrip("+~").partition("=")[0] for word in command_words()]
