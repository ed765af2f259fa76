"""JSON: read with a check of its kind, and written without what JSON has no word for.

Python writes NaN and infinity as words that most other programs refuse. `dumps` is for measured numbers: null stands for one that is not
finite. `in_words` is for settings, which have to come back as they were: "Infinity", "-Infinity", "NaN".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from difflab.reading.text import SETTINGS, FileError, as_text, read_bytes, reason, shown

_WORDS = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}


def dumps(content: Any, **layout: Any) -> str:
    """Plain containers as text; numbers that are not finite are null.

    Args:
        content: What `json.dumps` takes.
        layout: Of `json.dumps`: indent, separators, sort_keys.
    """
    try:
        return json.dumps(content, allow_nan=False, **layout)
    except ValueError:
        return json.dumps(_each(content, lambda value: None), allow_nan=False, **layout)


def in_words(content: Any) -> Any:
    """Plain containers in which a word stands for every number that is not finite."""
    return _each(content, lambda value: "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity")


def restored(content: Any) -> Any:
    """What `in_words` was given, up to the kind of its containers."""
    if isinstance(content, Mapping):
        return {key: restored(value) for key, value in content.items()}
    if isinstance(content, list):
        return [restored(value) for value in content]
    return _WORDS.get(content, content) if isinstance(content, str) else content


def _each(content: Any, instead: Any) -> Any:
    """With another value in place of every number that is not finite."""
    if isinstance(content, Mapping):
        return {key: _each(value, instead) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_each(value, instead) for value in content]
    return instead(content) if isinstance(content, float) and not math.isfinite(content) else content


DEPTH = 64
"""Containers within each other, at most."""

CONTAINERS = 1_000_000
"""Lists and mappings in a text, at most; brackets in its texts count as well."""

_DIGITS = 40
"""Of a whole number, at most: the largest seed has 20."""

_NAMES = {dict: "names with values", list: "a list", str: "a text", int: "a whole number", float: "a number"}


def read_json(
    path: str | Path, kind: type | tuple[type, ...] = dict, limit: int = SETTINGS, containers: int = CONTAINERS
) -> Any:
    """The content of a file of JSON, checked as `parse_json` does.

    Raises:
        FileError: As `parse_json`, or the file cannot be read.
    """
    return parse_json(read_bytes(path, limit), path, kind, containers)


def parse_json(
    text: str | bytes, where: str | Path, kind: type | tuple[type, ...] = dict, containers: int = CONTAINERS
) -> Any:
    """The content of a JSON text. NaN and Infinity are read as Python writes them: earlier versions of difflab did.

    Args:
        text: To read.
        where: What an error calls it: the file, or the line of it.
        kind: What stands at the top: dict, list, or several.
        containers: Opening brackets at most: three bytes of text become sixty of memory.

    Raises:
        FileError: It is no JSON, is nested too deep, has too many parts, or another kind of thing stands at the top.
    """
    text = as_text(text, str(where)) if isinstance(text, bytes) else text
    if text.count("[") + text.count("{") > containers:
        raise FileError(f"{where} has more than {containers:,} parts, which no such file has. Get it again.")
    try:
        content = json.loads(text, parse_int=_whole)
    except FileError:
        raise
    except RecursionError as error:
        raise _too_deep(where) from error
    except ValueError as error:
        raise FileError(f"{where} is no JSON ({reason(error)}): it may be damaged or cut off. Get it again.") from error
    _check_depth(content, where)
    if not isinstance(content, kind):
        raise FileError(f"{where}: expected {expected(kind)}, found {shown(content)}. Get it again.")
    return content


def fields(content: Any, where: str | Path, kinds: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """Names with values that must be there.

    Args:
        content: As it was read.
        where: What an error calls it.
        kinds: Name -> kind of its value; float takes whole numbers as well, and neither takes true or false.

    Raises:
        FileError: It is none, lacks a name, or has another kind of value there.
    """
    if not isinstance(content, Mapping):
        raise FileError(f"{where}: expected {_NAMES[dict]}, found {shown(content)}. Get it again.")
    for name, kind in kinds.items():
        if name not in content:
            raise FileError(f"{where} has no {name!r}: it is damaged, or another kind of file. Get it again.")
        if not is_a(content[name], kind):
            raise FileError(f"{where}: {name} is {shown(content[name])}; expected {expected(kind)}. Get it again.")
    return dict(content)


def is_a(value: Any, kind: type | tuple[type, ...]) -> bool:
    """Whether a value is of a kind, as `fields` takes it."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, kinds) or (isinstance(value, int) and float in kinds)


def expected(kind: type | tuple[type, ...]) -> str:
    """What a kind is called."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join("nothing" if one is type(None) else _NAMES.get(one, one.__name__) for one in kinds)


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"a whole number of {len(digits):,} digits")
    return int(digits)


def _check_depth(content: Any, where: str | Path) -> None:
    level, depth = [content], 0
    while level := [item for item in level if isinstance(item, dict | list) and item]:
        if depth := depth + 1:
            if depth > DEPTH:
                raise _too_deep(where)
            level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]


def _too_deep(where: str | Path) -> FileError:
    return FileError(f"{where} is nested deeper than {DEPTH} levels, which no such file is. Get it again.")
