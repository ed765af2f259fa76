"""The keys that a command's configuration has of itself: those of conf/<command>.yaml with its default choices, and of no experiment.

The files are read as they are. Hydra would compose them once more, in as much time as the configuration itself takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from difflab.config.paths import config_directory
from difflab.reading import read_yaml

_PACKAGE = re.compile(r"^# @package (\S+)", re.MULTILINE)


@cache
def schema(command: str) -> DictConfig:
    """Every key of a command's configuration, with the value that it has by default; references are not followed.

    Args:
        command: train, whose default choices all lie in conf/.
    """
    content = _of_file(config_directory() / f"{command}.yaml", "")
    content.pop("hydra", None)
    return OmegaConf.create(content)


def _of_file(path: Path, group: str) -> dict[str, Any]:
    """A file's content where its package puts it, over or under that of its defaults, as its defaults list says."""
    content = read_yaml(path)
    defaults = content.pop("defaults", [])
    header = _PACKAGE.search(path.read_text(encoding="utf-8"))
    package = header[1] if header else group.replace("/", ".")
    for key in reversed(package.split(".")) if package else ():
        content = {key: content}
    found: dict[str, Any] = {}
    for entry in defaults if "_self_" in defaults else ["_self_", *defaults]:
        for one in [content] if entry == "_self_" else _chosen(entry, group):
            _merge(found, one)
    return found


def _chosen(entry: Mapping[str, Any], group: str) -> Iterator[dict[str, Any]]:
    """The content of each choice that an entry of a defaults list names, `group: choice` or `group: [choice, ...]`."""
    for inner, choices in entry.items():
        if inner.startswith("override ") or choices is None:  # of Hydra's own parts, which are no keys of a command
            continue
        folder = f"{group}/{inner}".lstrip("/")
        for choice in choices if isinstance(choices, list) else [choices]:
            yield _of_file(config_directory() / folder / f"{choice}.yaml", folder)


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
