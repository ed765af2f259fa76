"""YAML that somebody else may have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from difflab.reading.text import FileError, read_text, reason, shown

_SIZE = 2**22
"""Characters of a text, at most."""

_DEPTH = 48
"""Nodes within each other, at most."""

_NODES = 200_000
"""Values, at most, with those that aliases repeat: a thousand laughs of ten lines would be a billion."""

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # of libyaml where it was built with it: ten times as fast

BROKEN = (
    yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError,
)  # fmt: skip
"""What PyYAML and those that extend it raise for a text that is none, or a value that is not what its tag says."""


def read_yaml(path: str | Path, loader: Any = _Parser) -> Any:
    """The content of a file of YAML, as `parse_yaml`.

    Raises:
        FileError: As `parse_yaml`, or the file cannot be read.
    """
    return parse_yaml(read_text(path), path, loader)


def parse_yaml(text: str, where: str | Path, loader: Any = _Parser) -> Any:
    """The content of a YAML text: plain values, no objects of Python.

    Args:
        text: To read.
        where: What an error calls it.
        loader: Of PyYAML, a safe one.

    Raises:
        FileError: It is no YAML, or larger, deeper or more often repeated than settings are.
    """
    try:
        return yaml.load(checked_yaml(text, where), Loader=loader)
    except FileError:
        raise
    except BROKEN as error:
        raise no_yaml(where, error) from error


def checked_yaml(text: str, where: str | Path) -> str:
    """The same text, which any loader may read without harm.

    What is nested too deep, or grows beyond bounds by aliases of aliases, is found while it streams by, before anything is built.

    Raises:
        FileError: As `parse_yaml`.
    """
    if len(text) > _SIZE:
        raise FileError(f"{where} has {len(text):,} characters, which no settings have. Get it again.")
    sizes: dict[str, int] = {}
    within: list[
        tuple[str | None, int]
    ] = []  # the anchors of the containers that are open, and what was counted before
    count = 0
    try:
        for event in yaml.parse(text, Loader=_Parser):
            if isinstance(event, yaml.AliasEvent):
                if event.anchor in (anchor for anchor, _ in within):
                    raise FileError(
                        f"{where}: *{shown(event.anchor)} stands for what it lies in, without end. Write it out."
                    )
                count += sizes.get(event.anchor, 1)
            elif isinstance(event, yaml.NodeEvent):
                if isinstance(event, yaml.CollectionStartEvent):
                    within.append((event.anchor, count))
                elif event.anchor is not None:
                    sizes[event.anchor] = 1
                count += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                anchor, before = within.pop()
                if anchor is not None:
                    sizes[anchor] = count - before
            if len(within) > _DEPTH:
                raise FileError(f"{where} is nested deeper than {_DEPTH} levels, which no settings are. Get it again.")
            if count > _NODES:
                raise FileError(
                    f"{where} stands for more than {_NODES:,} values, which no settings have. Look for aliases (*name) in it."
                )
    except FileError:
        raise
    except BROKEN as error:
        raise no_yaml(where, error) from error
    return text


def settings(content: Any, where: str | Path) -> dict[str, Any]:
    """Names with values, as a file of settings has them at the top.

    Raises:
        FileError: Something else stands there.
    """
    if not isinstance(content, dict):
        raise FileError(f"{where}: expected names with values, found {shown(content)}. Get it again.")
    return content


def no_yaml(where: str | Path, error: BaseException) -> FileError:
    """The error of a text that PyYAML or OmegaConf did not take."""
    return FileError(f"{where} cannot be read as YAML ({reason(error)}). Correct it, or get it again.")
