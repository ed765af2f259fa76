"""A plot of the page: plotly's data and layout without any colour, which the page adds by its scheme."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from difflab.studies.report.palette import Look

LINE, POINT, SEEDS, BAND = "line", "point", "seeds", "band"
"""What a trace shows; the page colours it accordingly."""


LEGEND = {
    "orientation": "h",
    "yref": "container",
    "y": 0,
    "yanchor": "bottom",
    "x": 0,
    "xanchor": "left",
    "maxheight": 0.3,
}

AXIS = {"showgrid": True, "showline": True, "zeroline": False, "automargin": True, "ticks": "outside", "ticklen": 4}
TEMPLATE = go.layout.Template(layout={"xaxis": AXIS, "yaxis": AXIS})

NAMED = 24
"""With more rows than this a static plot has no legend: the names are at the points, for who points at them."""


@dataclass(frozen=True)
class Plot:
    """name    by which the template places it
    figure   plotly's JSON
    says     what there is to see, for those who cannot see it
    height   in pixels
    """

    name: str
    figure: str
    says: str
    height: int


def plot(name: str, figure: go.Figure, says: str, height: int) -> Plot:
    figure.update_layout(
        template=TEMPLATE,
        height=height,
        margin={"l": 56, "r": 16, "t": 16, "b": 48},
        hovermode="closest",
        legend=LEGEND,
    )
    return Plot(name, script_safe(json.loads(figure.to_json() or "")), says, height)


def meta(look: Look, shows: str) -> dict[str, str]:
    """What the page colours a trace by."""
    return {"colour": look.colour, "shows": shows}


def plain(text: str) -> str:
    """A label for plotly, which reads tags and entities."""
    return html.escape(text, quote=False)


def script_safe(content: Mapping[str, Any] | Sequence[Any]) -> str:
    """JSON that can stand in a <script>: no tag can begin in it."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
