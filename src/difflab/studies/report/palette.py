"""How a row looks: the same colour, dash and mark in every plot, table and panel of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = 6
"""That the style sheet has besides the baseline's, in a light and a dark form: Okabe and Ito's (2008), which people who see fewer
colours tell apart, made as dark or bright as the ground asks for."""

DASHES = ("solid", "dash", "dot", "dashdot")
MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")


@dataclass(frozen=True)
class Look:
    """colour   name of a variable of the style sheet, without its dashes
    dash, mark  as plots.js draws them; rows that share a colour differ in them
    """

    colour: str
    dash: str
    mark: str


def looks(rows: Sequence[str], baseline: str) -> dict[str, Look]:
    """row -> look. The baseline has the colour of the text."""
    others = [row for row in rows if row != baseline]
    found = {
        row: Look(f"row-{i % COLOURS + 1}", DASHES[i // COLOURS % len(DASHES)], MARKS[i % len(MARKS)])
        for i, row in enumerate(others)
    }
    return {row: found.get(row, Look("row-0", "solid", "circle")) for row in rows}
