"""What a study's file holds, checked: an error names file, row and key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any

import yaml

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]*")


class StudyError(ValueError):
    """A study that cannot be run; the message names file, row and key."""


def check_name(name: str, where: str) -> None:
    """The name of a study or a row is that of a folder."""
    if not NAME.fullmatch(name):
        raise StudyError(
            f"{where}: {name!r} is the name of a folder: use letters, digits, and . _ + = -, a letter or digit first"
        )


def mapping(node: Any, where: str, keys: Collection[str] | None) -> dict[str, Any]:
    """Names with values, each name one of `keys`; None allows all."""
    if not isinstance(node, Mapping):
        raise StudyError(f"{where}: expected names with values, got {node!r}")
    for key in node:
        if keys is not None and key not in keys:
            raise StudyError(f"{where}: unknown key {key!r}; {near(str(key), keys)}")
    return dict(node)


def texts(node: Any, where: str) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(node, list) or not all(isinstance(text, str) for text in node):
        raise StudyError(f"{where} = {node!r}: expected a list of texts, as [network.width=64]")
    return tuple(node)


def number(value: Any, where: str) -> float:
    """A number; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise StudyError(f"{where} = {value!r}: expected a number")
    return float(value)


def there_are(name: str, names: Collection[str], what: str) -> str:
    """What an error says of a name that none of the known ones is."""
    return f"there is no such {what}; {near(name, names)}"


def near(name: str, names: Collection[str]) -> str:
    """The known name that was meant, else all of them."""
    found = difflib.get_close_matches(name, [str(n) for n in names], n=1)
    return f"did you mean {found[0]!r}?" if found else f"there are {', '.join(map(str, names))}"


class Strict(yaml.SafeLoader):
    """A name that stands twice is an error, and not the last of the two."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.YAMLError(f"{key.value!r} stands twice, the second time in line {key.start_mark.line + 1}")
            seen.add(key.value)
        return super().construct_mapping(node, deep)
