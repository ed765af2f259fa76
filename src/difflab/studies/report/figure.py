"""A plot of the page: how a row looks, numbers in few signs, and paired differences under each other."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from difflab.formatting import NOTHING, signed
from difflab.studies.evidence import Evidence
from difflab.studies.scale import Margin
from difflab.studies.statistics import PairedDifference, Speedup, Verdict

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
        shows: line, points, seeds (small and pale) or span (an interval alone).
        x: Of the points.
        y: Of the points.
        size: Of the marks, in pixels; 0 draws none.
        more: xlow, xhigh, ylow, yhigh: ends of bars; hover: text of each point, its first line in bold; name: in the legend; swarm.
    """
    return {"row": row, "colour": look.colour, "mark": look.mark, "shows": shows, "x": x, "y": y, "size": size, **more}


def script_safe(content: Mapping[str, Any] | Sequence[Any]) -> str:
    """JSON that can stand in a <script>: no tag can begin in it."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


ROW_HEIGHT, CLOSE_ROW_HEIGHT, FEW = 54, 34, 20
"""In pixels; with more than a few rows they come closer."""

MINUS = re.compile(r"(?<![\w.)])-(?=\d)")


def forest(evidence: Evidence, verdicts: Mapping[str, Verdict], metric: str, looks: Mapping[str, Look]) -> Plot | None:
    """None where no row has a difference."""
    known = [(name, one, one.difference) for name, one in verdicts.items() if one.difference is not None]
    if not known:
        return None
    info, title = evidence.info(metric), evidence.label(metric)
    margin, alpha = evidence.study.margins.get(metric), evidence.study.alpha
    labels = {name: arm.row.label for name, arm in evidence.arms.items()}
    traces, rows, count = [], [], len(known)
    for i, (name, verdict, difference) in enumerate(known):
        y, look, label = count - 1 - i, looks[name], labels[name]
        seeds, unit = difference.by_seed, difference.scale.unit
        told = [typeset(f"{label}\nseed {seed}: {signed(value, None)[0]}{unit}") for seed, value in seeds.items()]
        places = [y - 0.17] * len(seeds)
        traces.append(
            trace(name, look, "seeds", list(seeds.values()), places, 2.5, swarm=True, hover=told) | {"mark": "circle"}
        )
        interval = finite(difference.limits)
        if interval:
            traces.append(trace(name, look, "span", [difference.value], [y], xlow=[interval[0]], xhigh=[interval[1]]))
        hover = f"{label} − {labels[verdict.against]}\n{numbers(difference)}\n{verdict.outcome}"
        traces.append(trace(name, look, "points", [difference.value], [y], 5.5, hover=[hover]))
        rows.append({"y": y, "label": label, "text": numbers(difference), "outcome": str(verdict.outcome)})
    shade = _unmoved(margin, known[0][2])
    ends = ("worse", "better") if info and info.higher_is_better else ("better", "worse")
    unit = ", per cent" if known[0][2].scale.unit else ""
    layout = {
        "x": {
            "title": f"difference in {title}{unit}, with {100 * (1 - alpha):g} % interval",
            "key": metric,
            "ends": ends,
            "range": _range([difference for _, _, difference in known], shade),
        },
        "y": {"range": [-0.62, count - 0.38]},
        "zero": "x",
        "shade": shade,
        "rows": rows,
    }
    says = "; ".join(f"{row['label']}: {row['text']}, {row['outcome']}" for row in rows)
    height = count * (ROW_HEIGHT if count <= FEW else CLOSE_ROW_HEIGHT) + 90
    return plot("forest", traces, layout, f"Differences in {title} to the row compared with. {says}", height)


def numbers(difference: PairedDifference) -> str:
    """−1.20 [−1.60, −0.80], or −8 % [−12, −4]."""
    limits, unit = finite(difference.limits), difference.scale.unit
    half = None if limits is None else difference.half_width
    value = typeset(signed(difference.value, half)[0]) + unit
    if limits is None:
        return f"{value} (no interval from {difference.n} seed{'s' * (difference.n > 1)})"
    low, high = (typeset(signed(end, half)[0]) for end in limits)
    return f"{value} [{low}, {high}]"


def typeset(text: str) -> str:
    """With the minus sign of print before numbers."""
    return MINUS.sub("−", text)


def finite(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return interval if interval is not None and np.isfinite(interval).all() else None


def _unmoved(margin: Margin | None, difference: PairedDifference) -> tuple[float, float] | None:
    """The differences that make no difference, in the plot's unit; None where the margin is on another scale."""
    if margin is None or margin.scale is not difference.scale:
        return None
    return margin.scale.told(-margin.reach), margin.scale.told(margin.reach)


def _range(differences: Sequence[PairedDifference], unmoved: tuple[float, float] | None) -> list[float]:
    """Around all differences, seeds, margins and zero; an interval that is much longer than these runs out of the plot."""
    inner = [x for d in differences for x in (d.value, *d.by_seed.values())] + [0.0, *(unmoved or ())]
    low, high = min(inner), max(inner)
    room = 1.5 * ((high - low) or 1.0)
    ends = [end for d in differences for end in finite(d.limits) or ()]
    low, high = max(min([low, *ends]), low - room), min(max([high, *ends]), high + room)
    least, most = differences[0].bounds
    return [max(least, low - 0.06 * (high - low)), min(most, high + 0.06 * (high - low))]


def ratio(found: Speedup) -> str:
    """1.82 × [1.40, 2.37]."""
    if found.ratio is None:
        return NOTHING
    ends = "" if found.interval is None else f" [{found.interval[0]:.2f}, {found.interval[1]:.2f}]"
    return f"{found.ratio:.2f} ×{ends}"


def difference(found: PairedDifference) -> str:
    return numbers(found)


def outcomes(found: Sequence[str]) -> str:
    """In order if they are few, else counted."""
    if len(found) <= 6:
        return " → ".join(found)
    return ", ".join(f"{count} × {word}" for word, count in Counter(found).items())


def plainly(value: object) -> str:
    """Of a protocol's field."""
    return NOTHING if value is None else str(value)


def sentence(text: str) -> str:
    """Ends in a full stop and has no sign of the terminal."""
    text = typeset(text.replace("-/+", "±").replace(" .. ", " to "))
    return text if text.endswith((".", "!", "?")) else f"{text}."
