"""Choices of parts are names of files in conf/<group>, and no ways out of it: +experiment=../../x is anybody's configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Sweep
from hydra.errors import HydraException

from difflab.cli.places import is_group

_LEADS_OUT = re.compile(r"\.\.|\\|[=,\[(\"'\s]/")
"""In a word that may hold such a name. Few do, and the others need not be read."""


def leads_out(name: str) -> bool:
    """Whether a name is an absolute path, or one that goes up."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts


def path_among(words: Sequence[str]) -> str | None:
    """Why one of a command's words is refused: it names a path where a choice is wanted. None if none does.

    Words that cannot be read are left to whoever composes them.
    """
    for word in words:
        if not _LEADS_OUT.search(word) or word.startswith("-"):
            continue
        try:
            override = OverridesParser.create().parse_override(word)
        except HydraException:
            continue
        key = override.key_or_group
        for name in _choices(override) if is_group(key) else ():
            if leads_out(name):
                return (
                    f"{key}={name}: a choice is the name of a file in conf/{key}, and no path (a folder of configurations of your own is "
                    "added by --config-dir FOLDER, and what is in it is then named as what is in conf/)"
                )
    return None


def _choices(override: Override) -> list[str]:
    value: Any = override.value()
    if isinstance(value, Sweep):
        value = getattr(value, "list", [])
    found: list[str] = []
    for one in value if isinstance(value, list) else [value]:
        one = getattr(one, "text", one)  # of a quoted text
        found += [str(inner) for inner in one] if isinstance(one, list) else [str(one)]
    return found
