"""A plot of a page: how a row looks, and what plots.js is told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

COLOURS = 6
"""That the style sheet has besides the baseline's, in a light and a dark form: Okabe and Ito's (2008), which people who see fewer
colours tell apart, made as dark or bright as the ground asks for."""

DASHES = ("solid", "dash", "dot", "dashdot")
MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")


@dataclass(frozen=True)
class Look:
    """How a row is drawn, the same in all figures.

    Attributes:
        colour: Name of a variable of the style sheet, without its dashes.
        dash: As plots.js draws them; rows that share a colour differ in them.
        mark: Likewise.
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


def told_apart(rows: Sequence[str]) -> dict[str, Look]:
    """row -> look, for lines that lie over each other: neighbours differ in their dashes, too."""
    return {
        row: Look(f"row-{i % (COLOURS + 1)}", DASHES[i % len(DASHES)], MARKS[i % len(MARKS)])
        for i, row in enumerate(rows)
    }


NAMED = 24
"""With more rows than this a static plot has no legend: the names are at the points, for who points at them."""


@dataclass(frozen=True)
class Plot:
    """What stands at one place of the page.

    Attributes:
        name: By which the template places it.
        figure: JSON of the traces and the layout.
        says: What there is to see, for those who cannot see it.
        height: In pixels.
    """

    name: str
    figure: str
    says: str
    height: int


def plot(name: str, traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any], says: str, height: int) -> Plot:
    """A plot of traces.

    Args:
        name: By which the template places it.
        traces: Made by `trace`, drawn one over the other.
        layout: x and y (title, key: by which programs know it, range, bounds, ticks), legend, zero: where the line of no difference is,
            shade: what makes no difference, rows: labels of the lines of a forest plot.
        says: What there is to see.
        height: In pixels.
    """
    return Plot(name, script_safe({"data": list(traces), "layout": {**layout, "height": height}}), says, height)


def trace(
    row: str, look: Look, shows: str, x: Sequence[float], y: Sequence[float], size: float = 0, **more: Any
) -> dict[str, Any]:
    """Points or a line of one row.

    Args:
        row: Its name.
        look: Its colour and mark.
        shows: line, points, ticks (points that stay where they are), seeds (small and pale) or span (an interval alone).
        x: Of the points.
        y: Of the points.
        size: Of the marks, in pixels; 0 draws none.
        more: xlow, xhigh, ylow, yhigh: ends of bars; hover: text of each point, its first line in bold; name: in the legend; swarm.
    """
    return {"row": row, "colour": look.colour, "mark": look.mark, "shows": shows, "x": x, "y": y, "size": size, **more}


@dataclass(frozen=True)
class Overlay:
    """Rows over each other, in several plots.

    Attributes:
        plots: What they have in common.
        without: Rows that lack what the last plot shows.
        notes: A sentence for each row of which something, or all, cannot be shown.
    """

    plots: tuple[Plot, ...]
    without: tuple[str, ...]
    notes: tuple[str, ...]


def script_safe(content: Mapping[str, Any] | Sequence[Any]) -> str:
    """JSON that can stand in a <script>: no tag can begin in it."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
