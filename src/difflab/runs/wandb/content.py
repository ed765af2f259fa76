"""What W&B shows of results, before W&B is imported: numbers, tables, grids, pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Table:
    """A table of W&B.

    Attributes:
        columns: Their names.
        rows: Of plain values; a path is a picture.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Content:
    """What is shown of results.

    Attributes:
        numbers: For the summary.
        tables: By name.
        pictures: Name -> file and caption.
        pages: Name -> HTML file.
    """

    numbers: Mapping[str, float | str | None] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    pictures: Mapping[str, tuple[Path, str]] = field(default_factory=dict)
    pages: Mapping[str, Path] = field(default_factory=dict)
