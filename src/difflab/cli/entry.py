"""What the commands have in common: arguments -> composed configuration -> function, errors as one line."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from difflab.cli.endings import fail
from difflab.config.paths import config_directories, config_files, is_group
from difflab.runtime.invocation import check_surroundings, command, program
from difflab.runtime.process import end_at_once, end_with_first, gc_paused

if TYPE_CHECKING:
    from difflab.config.run import DictConfig

NEEDED = ("difflab.training.module", "difflab.data", "difflab.metrics", "difflab.runs")
"""By every command that has a configuration: torch, Lightning and most of difflab."""

GROUPS_NOT_SHOWN = frozenset({"module", "experiment", "recipe"})


class Words(argparse.ArgumentParser):
    """The words of a command that has no configuration. Its help is a text of its own, and what it does not understand is one line.

    Args:
        text: Of the help.
        hint: What to give, for errors.
        prog: What argparse calls it.
    """

    def __init__(self, text: str, hint: str = "", prog: str | None = None):
        super().__init__(prog, add_help=False, allow_abbrev=False)
        self._text, self._hint = text, hint
        self.add_argument("-h", "--help", action="help")

    def format_help(self) -> str:
        return f"{self._text}\n"

    def error(self, message: str) -> NoReturn:
        fail(f"{message}: {self._hint}; --help tells more" if self._hint else f"{message}; --help tells more")


def wants_help(arguments: list[str]) -> bool:
    return bool({"-h", "--help"} & set(arguments))


def help_text(
    name: str, purpose: str, examples: list[tuple[str, str]], values: list[str], shows: Callable[[str], bool]
) -> str:
    """Commands that one needs, the groups with their choices (those that the command `shows`), values, and short words."""
    from difflab.config.words import described

    lines = [f"{program(name)}: {purpose}", "", "Useful commands"]
    lines += [f"  {command(example)}\n      {what}" for example, what in examples]
    lines += ["", "Groups (swap a part with group=choice; look into conf/<group>/<choice>.yaml for its values)"]
    for group in (groups := [group for group in _groups() if shows(group)]):
        lines.append(f"  {group:26} {', '.join(config_files(group, '*.yaml'))}")
    lines += ["", "Values (set one with path=value)", *(f"  {line}" for line in values)]
    lines += ["", "Short words, and what they stand for", *(f"  {line}" for line in described(name, groups))]
    lines += ["", "Choices of your own: --config-dir FOLDER, with FOLDER/<group>/<choice>.yaml as in conf/"]
    return "\n".join(lines)


def _groups() -> list[str]:
    """The groups that are chosen of, by their folders."""
    found: set[str] = set()
    for directory in config_directories():
        found |= {file.parent.relative_to(directory).as_posix() for file in directory.rglob("*/*.yaml")}
    return sorted(group for group in found if group.split("/")[0] not in GROUPS_NOT_SHOWN)


def arguments() -> list[str]:
    """The command's words, without those that name folders of configurations of the user's own, which are looked into from here on."""
    from difflab.config.paths import searched

    for word in sys.argv[1:]:
        key, is_set, _ = word.lstrip("-").partition("=")
        if word.startswith("--") and is_set and is_group(key):  # Hydra takes --experiment for a flag of its own
            fail(f"{word}: settings have no dashes: write {word.lstrip('-')}")
    try:
        sys.argv[1:] = searched(sys.argv[1:])
    except ValueError as error:
        fail(str(error))
    return sys.argv[1:]


def run_hydra(config_name: str, function: Callable[..., object], check: Callable[[DictConfig], object]) -> None:
    """Runs function(config), composed from conf/<config_name>.yaml and the command line; for each row of a sweep, once all are checked."""
    end_at_once()
    end_with_first()
    # a process that has gone costs the others 30 lines of C++ each
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if missing := check_surroundings():
        fail(missing)
    with gc_paused():
        from difflab.config.keys import ConfigError, compose_or_explain
        from difflab.config.run import hydra_for, read_words, run_by_hydra, run_composed

    try:
        words = sys.argv[1:] = read_words(config_name, sys.argv[1:])
        if "-m" in words or "--multirun" in words:
            from difflab.config.multirun import multirun

            _import_needed()
            multirun(config_name, function, check)
        elif any(word.startswith("-") for word in words):
            run_by_hydra(config_name, function)
        else:
            with hydra_for(config_name):
                with gc_paused():
                    config = compose_or_explain(
                        config_name, words
                    )  # a mistake ends it before anything large is imported
                    _import_needed()
                run_composed(config_name, config, function)
    except ConfigError as error:
        fail(str(error))


def _import_needed() -> None:
    for module in NEEDED:
        importlib.import_module(module)
