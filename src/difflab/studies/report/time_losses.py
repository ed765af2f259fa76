"""Where in time a change helps: differences of the loss in each quarter of time, at the end of training, paired over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from difflab.studies.history import History
from difflab.studies.inference import PairedDifference, paired_difference
from difflab.studies.report.figure import NAMED, Plot, plot, trace
from difflab.studies.report.trained import Trained

QUARTERS = {
    "train/loss_q1": "q1 (0 to ¼, clean)",
    "train/loss_q2": "q2 (¼ to ½)",
    "train/loss_q3": "q3 (½ to ¾)",
    "train/loss_q4": "q4 (¾ to 1, noise)",
}

END = 0.1
"""The part of a training, its last one, whose lines of the log are averaged: one line alone is mostly noise."""

OF_THE_LOSS = ("objective", "parameterization", "schedule", "variance", "data.dataset", "data.max_images")
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
    traces, rows = [], list(dict.fromkeys(loss.row.rows[0] for loss in losses))
    for i, name in enumerate(rows):
        mine = [loss for loss in losses if loss.row.rows[0] == name]
        row = mine[0].row
        offset = 0.6 * ((i + 0.5) / len(rows) - 0.5)  # side by side within a quarter
        ends = [_finite(loss.percent.interval) for loss in mine]
        traces.append(
            trace(
                name,
                row.look,
                "points",
                [list(QUARTERS).index(loss.quarter) + offset for loss in mine],
                [loss.percent.mean for loss in mine],
                4.5,
                ylow=[low for low, _ in ends],
                yhigh=[high for _, high in ends],
                name=row.label,
                hover=[f"{row.label}\n{QUARTERS[loss.quarter]}: {loss.percent.mean:+.2f} %" for loss in mine],
            )
        )
    layout = {
        "x": {
            "title": "quarter of time, from clean (q1) to noise (q4)",
            "range": [-0.5, 3.5],
            "ticks": [[i, f"q{i + 1}"] for i in range(4)],
        },
        "y": {"title": f"difference of the loss in %, {100 * (1 - alpha):g} %"},
        "zero": "y",
        "legend": len(rows) <= NAMED,
    }
    says = "; ".join(f"{loss.row.label} {QUARTERS[loss.quarter]} {loss.percent.mean:+.2f} %" for loss in losses)
    return plot("time-losses", traces, layout, f"Differences of the loss by quarter of time: {says}", 380)


def _finite(interval: tuple[float, float] | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None or np.isinf(interval).any() else interval
