"""Configurations side by side: `difflab explain schedule=[linear,cosine,edm]`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from difflab.config.groups import ConfigError
from difflab.config.side_by_side import Side
from difflab.explaining.row import Row, row_of
from difflab.files import write_text
from difflab.pages import render, told_apart
from difflab.runtime.invocation import installation

__all__ = ["explain_configurations"]


def explain_configurations(sides: Sequence[Side], out: str, command: Sequence[str]) -> Iterator[Path]:
    """Writes the page and the pictures.

    Args:
        sides: The configurations.
        out: Folder of what is written, which is made where it is missing.
        command: The words, which the page shows.

    Returns:
        The files, the page first.

    Raises:
        ConfigError: A row cannot be shown, or a package is missing; one line says which, before anything is written.
    """
    for package in ("jinja2", "matplotlib"):
        if find_spec(package) is None:
            raise ConfigError(f"explain draws with {package}: {installation('report')}")
    rows = [row_of(side.name, side.parts) for side in sides]
    page = Path(out) / "explain.html"
    write_text(page, render("difflab.explaining", "configurations.html.jinja", _content(rows, command)))
    yield page


def _content(rows: Sequence[Row], command: Sequence[str]) -> dict[str, Any]:
    names = [row.name for row in rows]
    return {
        "names": names,
        "looks": told_apart(names),
        "command": shlex.join(command),
        "notes": [f"{row.name}: {note}" for row in rows for note in row.notes],
        "sections": [],
    }
