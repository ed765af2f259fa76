"""JSON as its standard has it. Python writes NaN and infinity as words that most other programs refuse.

dumps       measured numbers: null stands for one that is not finite
in_words    settings, which have to come back as they were: "Infinity", "-Infinity", "NaN"; `restored` takes them back
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

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
