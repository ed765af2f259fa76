"""Paired differences of the deciding metric with their intervals, all rows under each other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from difflab.studies.evidence import Evidence
from difflab.studies.inference import PairedDifference, Verdict
from difflab.studies.report.figure import LINE, POINT, SEEDS, Plot, meta, plain, plot
from difflab.studies.report.palette import Look
from difflab.studies.scale import Margin
from difflab.studies.tables.rounding import signed

ROW_HEIGHT, CLOSE_ROW_HEIGHT, FEW = 54, 34, 20
"""In pixels; with more than a few rows they come closer."""

MINUS = re.compile(r"(?<![\w.)])-(?=\d)")


def forest(evidence: Evidence, verdicts: Mapping[str, Verdict], metric: str, looks: Mapping[str, Look]) -> Plot | None:
    """None where no row has a difference."""
    known = [(name, one, one.difference) for name, one in verdicts.items() if one.difference is not None]
    if not known:
        return None
    info = evidence.info(metric)
    margin, alpha = evidence.study.margins.get(metric), evidence.study.alpha
    labels = {name: arm.row.label for name, arm in evidence.arms.items()}
    figure, count = go.Figure(), len(known)
    for i, (name, verdict, difference) in enumerate(known):
        y, look, label = count - 1 - i, looks[name], plain(labels[name])
        seeds, unit = difference.by_seed, difference.scale.unit
        figure.add_scatter(
            x=list(seeds.values()),
            y=[y - 0.17] * len(seeds),
            mode="markers",
            marker={"size": 5, "symbol": "circle"},
            meta=meta(look, SEEDS),
            customdata=list(seeds),
            hovertemplate=f"{label}<br>seed %{{customdata}}: %{{x:+.4g}}{unit}<extra></extra>",
            showlegend=False,
        )
        interval = finite(difference.limits)
        if interval:
            figure.add_scatter(
                x=interval, y=[y, y], mode="lines", line={"width": 2}, meta=meta(look, LINE), hoverinfo="skip", showlegend=False
            )  # fmt: skip
        figure.add_scatter(
            x=[difference.value],
            y=[y],
            mode="markers",
            marker={"size": 11, "symbol": look.mark},
            meta=meta(look, POINT),
            hovertemplate=f"<b>{label}</b> − {plain(labels[verdict.against])}<br>{numbers(difference)}<br>{verdict.outcome}<extra></extra>",
            showlegend=False,
        )
    unmoved = _unmoved(margin, known[0][2])
    if unmoved:
        figure.add_vrect(x0=unmoved[0], x1=unmoved[1], layer="below", line_width=0)
    figure.add_vline(x=0, line={"width": 1})
    left, right = ("worse", "better") if info and info.higher_is_better else ("better", "worse")
    what = f"difference in {metric}{', per cent' if known[0][2].scale.unit else ''}"
    title = f"← {left}      {what}, with {100 * (1 - alpha):g} % interval      {right} →"
    figure.update_xaxes(title=title, range=_range([difference for _, _, difference in known], unmoved))
    figure.update_yaxes(range=[-0.62, count - 0.38], showgrid=False, ticks="", fixedrange=True, showticklabels=False)
    texts = [(labels[name], numbers(difference), str(one.outcome)) for name, one, difference in known]
    figure.update_layout(meta=_labels(texts))
    says = "; ".join(f"{label}: {text}, {outcome}" for label, text, outcome in texts)
    height = count * (ROW_HEIGHT if count <= FEW else CLOSE_ROW_HEIGHT) + 90
    return plot("forest", figure, f"Differences in {metric} to the row compared with. {says}", height)


def _labels(texts: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """Beside the lines where there is room, above them where there is none; the page chooses."""
    wide, narrow = [], []
    beside = {"xref": "paper", "showarrow": False, "yanchor": "middle"}
    for i, (label, text, outcome) in enumerate(texts):
        y, short = len(texts) - 1 - i, plain(shortened(label, 34))
        wide += [
            {**beside, "text": short, "name": "ink", "x": 0, "xanchor": "right", "xshift": -12, "y": y},
            {**beside, "text": text, "name": outcome, "x": 1, "xanchor": "left", "xshift": 12, "y": y},
        ]
        above = f"{plain(shortened(label, 26))}   {text}"
        narrow.append({**beside, "text": above, "name": outcome, "x": 0, "xanchor": "left", "y": y, "yshift": 16})
    left = 7 * max(min(len(label), 34) for label, _, _ in texts) + 30
    right = 7 * max(len(text) for _, text, _ in texts) + 24
    return {
        "wide": {"annotations": wide, "margin": {"l": left, "r": right, "t": 8, "b": 48}},
        "narrow": {"annotations": narrow, "margin": {"l": 8, "r": 8, "t": 8, "b": 48}},
    }


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


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


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
    return [low - 0.06 * (high - low), high + 0.06 * (high - low)]
