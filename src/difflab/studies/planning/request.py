"""What is asked of a study: its file, and the words that shape its plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Request(NamedTuple):
    """What a command line asks of a study.

    study      as it was named
    file       study.yaml
    options    of `OPTIONS`
    overrides  of train.py
    """

    study: str
    file: Path
    verb: str
    flags: frozenset[str]
    options: Mapping[str, str]
    overrides: tuple[str, ...]
