"""The page's plots and strips as PNGs, by matplotlib: the same traces in the same colours, for slides and papers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from difflab.files import atomic_file
from difflab.pages import Plot
from difflab.reading import parse_json

_DASHES = {"solid": "-", "dash": (0, (7, 4)), "dot": (0, (2, 3)), "dashdot": (0, (7, 3, 2, 3))}


@cache
def _colours() -> Mapping[str, str]:
    """Those of the page by day."""
    css = (files("difflab.pages") / "templates" / "theme.css").read_text(encoding="utf-8")
    return dict(re.findall(r"--(row-\d): (#\w+)", css.partition("@media")[0]))


def draw_plots(plots: Sequence[Plot], path: Path) -> None:
    """Plots beside each other, two in a line, with one legend."""
    from matplotlib.figure import Figure

    lines = -(-len(plots) // 2)
    wide = min(len(plots), 2)
    heights = [2.6 if len(plots) > 1 else plots[0].height / 100] * lines
    figure = Figure(figsize=(8, sum(heights) + 0.5), dpi=150, layout="constrained")
    named: dict[str, Any] = {}
    for i, one in enumerate(plots):
        content = parse_json(one.figure, one.name)
        axes = figure.add_subplot(lines, wide, i + 1)
        for trace in content["data"]:
            line = _draw(axes, trace)
            if trace.get("name"):
                named.setdefault(trace["name"], line)
        _frame(axes, content["layout"])
    if len(named) > 1:
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=min(len(named), 4), fontsize=8)
    with atomic_file(path) as aside:
        figure.savefig(aside, format="png")


def draw_strips(strips: Mapping[str, Sequence[Image.Image]], path: Path, title: str) -> None:
    """Rows of pictures at rising times."""
    from matplotlib.figure import Figure

    columns = max(map(len, strips.values()))
    width = 10.0
    shape = [images[0].height / images[0].width for images in strips.values()]
    height = sum(width / columns * one for one in shape) + 0.35 * len(strips) + 0.5
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    grid = figure.add_gridspec(len(strips), columns, height_ratios=shape, wspace=0.02, hspace=0.02)
    for i, (name, images) in enumerate(strips.items()):
        for j, image in enumerate(images):
            axes = figure.add_subplot(grid[i, j])
            axes.imshow(np.asarray(image), interpolation="nearest")
            axes.set_axis_off()
            if j == 0:
                axes.set_title(name, loc="left", fontsize=9)
            elif i == 0:
                axes.set_title(f"t = {j / (columns - 1):.2g}", fontsize=8)
    figure.suptitle(title, fontsize=9)
    with atomic_file(path) as aside:
        figure.savefig(aside, format="png")


def _draw(axes: Any, trace: Mapping[str, Any]) -> Any:
    colour = _colours()[trace["colour"]]
    if trace["shows"] == "ticks":
        size = 9 if len(trace["x"]) < 60 else 6
        return axes.plot(trace["x"], trace["y"], "|", color=colour, markersize=size, markeredgewidth=0.9)[0]
    dash = _DASHES[trace.get("dash", "solid")]
    return axes.plot(trace["x"], trace["y"], color=colour, linestyle=dash, linewidth=1.6)[0]


def _frame(axes: Any, layout: Mapping[str, Any]) -> None:
    for side, axis in (("x", layout["x"]), ("y", layout["y"])):
        if axis.get("log"):
            axes.set(**{f"{side}scale": "log"})
        if axis.get("range"):
            axes.set(**{f"{side}lim": axis["range"]})
        axes.set(**{f"{side}label": axis.get("title", "")})
    if rows := layout.get("rows"):
        axes.set_yticks([row["y"] for row in rows], [f"{row['label']}\n{row['text']}" for row in rows])
    elif (layout["y"].get("bounds") or [None])[0] == 0 and not layout["y"].get("log"):
        axes.set_ylim(bottom=0)
    for item in (axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()):
        item.set_fontsize(8)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
