"""A table as Markdown."""

from __future__ import annotations

import re

from difflab.studies.tables.grid import Content, grid
from difflab.studies.tables.marks import Mark
from difflab.studies.tables.renderer import Renderer
from difflab.studies.tables.table import AblationTable

_RAISED = {"a": "ᵃ", "b": "ᵇ", "c": "ᶜ", "d": "ᵈ", "e": "ᵉ"}


class Markdown(Renderer):
    """GitHub's pipes; marks and notes as a list below."""

    suffix = ".md"

    def render(self, table: AblationTable) -> str:
        content = grid(table)
        lines = [
            _line([_escaped(column.head) for column in content.columns]),
            _line(["--:" if column.is_number else ":--" for column in content.columns]),
            *(_line([_cell(one) for one in row]) for row in content.cells),
            "",
            *(f"- {_symbol(mark)} {_escaped(mark.meaning)}" for mark in content.marks),
            *(f"- {_escaped(note)}" for note in content.notes),
        ]
        return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(content: Content) -> str:
    text = _escaped(content.text) if content.spread is None else f"{content.text} ± {content.spread}"
    raised = "".join(_symbol(mark) for mark in content.marks)
    return (f"**{text}**" if content.strong else text) + (f" {raised}" if raised else "")


def _symbol(mark: Mark) -> str:
    return _RAISED.get(mark.symbol, mark.symbol)


def _escaped(text: str) -> str:
    """What Markdown or the HTML within it would read as a sign."""
    text = " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text)
