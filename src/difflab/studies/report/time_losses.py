"""Where in time a change helps: differences of the loss in each quarter of time, at the end of training, paired over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from difflab.studies.history import History
from difflab.studies.inference import PairedDifference, paired_difference
from difflab.studies.report.figure import NAMED, POINT, Plot, meta, plain, plot
from difflab.studies.report.trained import Trained

QUARTERS = {
    "train/loss_q1": "q1 (0 to ¼, clean)",
    "train/loss_q2": "q2 (¼ to ½)",
    "train/loss_q3": "q3 (½ to ¾)",
    "train/loss_q4": "q4 (¾ to 1, noise)",
}

END = 0.1
"""The part of a training, its last one, whose lines of the log are averaged: one line alone is mostly noise."""

OF_THE_LOSS = ("objective", "parameterization", "schedule", "variance", "data.dataset")
"""Parts of the configuration that change what the loss is of."""


@dataclass(frozen=True)
class TimeLoss:
    """A trained row's loss in a quarter of time, in % of the one it is compared with."""

    row: Trained
    quarter: str
    percent: PairedDifference


@dataclass(frozen=True)
class TimeLosses:
    """unlike   label -> the parts in which its loss is another one than its reference's: such losses cannot be compared"""

    plot: Plot | None
    losses: Sequence[TimeLoss]
    unlike: Mapping[str, list[str]]


def at_the_end(history: History, name: str) -> float | None:
    """Mean over the lines of the last tenth of training."""
    steps, values = history.curve(name)
    return float(np.mean(values[steps > steps[-1] * (1 - END)])) if len(values) else None


def time_losses(rows: Sequence[Trained], histories: Mapping[str, Mapping[int, History]], alpha: float) -> TimeLosses:
    """histories   first row of a training -> seed -> what it logged"""
    of = {name: one for one in rows for name in one.rows}
    found, unlike = [], dict[str, list[str]]()
    for row in rows:
        against = of[row.arm.row.against]
        if against is row:
            continue
        if differing := [key for key in OF_THE_LOSS if _part(row, key) != _part(against, key)]:
            unlike[row.label] = differing
            continue
        for quarter in QUARTERS:
            mine = _ends(histories[row.rows[0]], quarter)
            theirs = _ends(histories[against.rows[0]], quarter)
            common = [seed for seed in mine if theirs.get(seed)]
            if common:
                relative = {seed: 100 * mine[seed] / theirs[seed] for seed in common}
                difference = paired_difference(relative, dict.fromkeys(common, 100.0), alpha)
                found.append(TimeLoss(row, quarter, difference))
    return TimeLosses(_drawn(found, alpha) if found else None, found, unlike)


def _part(row: Trained, key: str) -> Any:
    node: Any = row.arm.config
    for name in key.split("."):
        node = node.get(name) if isinstance(node, Mapping) else None
    return node


def _ends(histories: Mapping[int, History], name: str) -> dict[int, float]:
    ends = {seed: at_the_end(history, name) for seed, history in histories.items()}
    return {seed: end for seed, end in ends.items() if end is not None}


def _drawn(losses: Sequence[TimeLoss], alpha: float) -> Plot:
    figure = go.Figure()
    rows = list(dict.fromkeys(loss.row.rows[0] for loss in losses))
    for i, name in enumerate(rows):
        mine = [loss for loss in losses if loss.row.rows[0] == name]
        row = mine[0].row
        reach = [_reach(loss.percent) for loss in mine]
        offset = 0.6 * ((i + 0.5) / len(rows) - 0.5)  # side by side within a quarter
        figure.add_scatter(
            x=[list(QUARTERS).index(loss.quarter) + offset for loss in mine],
            y=[loss.percent.mean for loss in mine],
            error_y={"type": "data", "array": reach, "thickness": 1.2, "width": 3},
            mode="markers",
            marker={"symbol": row.look.mark, "size": 9},
            name=plain(row.label),
            meta=meta(row.look, POINT),
            customdata=[QUARTERS[loss.quarter] for loss in mine],
            hovertemplate=f"<b>{plain(row.label)}</b><br>%{{customdata}}: %{{y:+.2f}} %<extra></extra>",
        )
    figure.update_layout(showlegend=len(rows) <= NAMED)
    figure.add_hline(y=0, line={"width": 1})
    figure.update_xaxes(tickvals=list(range(4)), ticktext=["q1", "q2", "q3", "q4"], range=[-0.5, 3.5])
    figure.update_xaxes(title="quarter of time, from clean (q1) to noise (q4)")
    figure.update_yaxes(title=f"difference of the loss in %, {100 * (1 - alpha):g} %")
    says = "; ".join(f"{loss.row.label} {QUARTERS[loss.quarter]} {loss.percent.mean:+.2f} %" for loss in losses)
    return plot("time-losses", figure, f"Differences of the loss by quarter of time: {says}", 380)


def _reach(difference: PairedDifference) -> float | None:
    interval = difference.interval
    return None if interval is None or np.isinf(interval).any() else (interval[1] - interval[0]) / 2
