"""What a change buys: of compute, in which quarter of time, and of one metric at the price of another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from difflab.formatting import rounded
from difflab.metrics import MetricInfo
from difflab.pages.figure import NAMED, Look, Plot, plot, trace
from difflab.studies.evidence import Arm, Evidence
from difflab.studies.history import Axis, Flops, History, Hours, Images, Steps
from difflab.studies.report.costs import Trained
from difflab.studies.report.table import Estimate, estimate
from difflab.studies.statistics import PairedDifference, paired_difference
from difflab.studies.statistics.curves import Curve, Speedup, speedup

BUDGETS: dict[str, Axis] = {"steps": Steps(), "images": Images(), "FLOPs": Flops(), "hours": Hours()}


@dataclass(frozen=True)
class RowSpeedup:
    """How much less a row needs for what its reference has at its end.

    Attributes:
        column: Of the log that was followed.
        by: Budget -> what was found.
    """

    row: Trained
    against: Trained
    column: str
    by: Mapping[str, Speedup]


def speedups(
    rows: Sequence[Trained],
    histories: Mapping[str, Mapping[int, History]],
    decides: str,
    info: MetricInfo,
    alpha: float,
) -> list[RowSpeedup]:
    """Of the rows that are trained otherwise than their reference and logged the deciding metric while they trained.

    Args:
        histories: First row of a training -> seed -> what it logged.
    """
    of, found = {name: one for one in rows for name in one.rows}, []
    for row in rows:
        against = of[row.arm.row.against]
        mine, theirs = histories[row.rows[0]], histories[against.rows[0]]
        column, other = _column(mine, decides, row.track), _column(theirs, decides, against.track)
        if against is row or not column or not other or column.rpartition("/")[2] != other.rpartition("/")[2]:
            continue
        by = {
            name: speedup(_curves(mine, row, column, axis), _curves(theirs, against, other, axis), info, alpha)
            for name, axis in BUDGETS.items()
        }
        if any(one.seeds for one in by.values()):
            found.append(RowSpeedup(row, against, column, by))
    return found


def _column(histories: Mapping[int, History], decides: str, track: str | None) -> str:
    """eval/<track>/<metric>@<N> of the deciding metric, of the weights that are judged; "" if these were not looked at in training."""
    names = sorted({name for one in histories.values() for name in one.columns})
    return next((name for name in names if name.startswith(f"eval/{track}/{decides}@")), "")


def _curves(histories: Mapping[int, History], row: Trained, column: str, axis: Axis) -> dict[int, Curve]:
    found = {}
    for seed, history in histories.items():
        steps, values = history.curve(column)
        at = axis.of(history, row.arm.facts)[np.isin(history.steps, steps)]
        if len(steps) and (at[1:] > at[:-1]).all():  # an axis that the log does not give is NaN
            diverged = seed in row.arm.diverged  # whatever it had reached, it did not keep
            found[seed] = Curve(at.tolist(), [*values[:-1].tolist(), math.nan if diverged else float(values[-1])])
    return found


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
    """Losses of the rows over the time t.

    Attributes:
        unlike: Label -> the parts in which its loss is another one than its reference's: such losses cannot be compared.
    """

    plot: Plot | None
    losses: Sequence[TimeLoss]
    unlike: Mapping[str, list[str]]


def at_the_end(history: History, name: str) -> float | None:
    """Mean over the lines of the last tenth of training."""
    steps, values = history.curve(name)
    return float(np.mean(values[steps > steps[-1] * (1 - END)])) if len(values) else None


def time_losses(rows: Sequence[Trained], histories: Mapping[str, Mapping[int, History]], alpha: float) -> TimeLosses:
    """The losses by quarters of t, of all rows.

    Args:
        histories: First row of a training -> seed -> what it logged.
    """
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


JOINED = "draw."
"""Declared changes with this beginning alone make a row a point of its training's line."""


def tradeoffs(evidence: Evidence, looks: Mapping[str, Look]) -> list[Plot]:
    """The first two metrics, and precision against recall where both are there."""
    infos = {metric: evidence.info(metric) for metric in evidence.study.evaluation.metrics}
    metrics = tuple(metric for metric, info in infos.items() if info and info.higher_is_better is not None)
    pairs = [metrics[:2]] if len(metrics) > 1 else []
    precisions = [metric for metric in metrics if metric.split("_")[0] == "precision"]
    recalls = [metric for metric in metrics if metric.split("_")[0] == "recall"]
    pairs += [pair for pair in zip(recalls, precisions, strict=False) if set(pair) != set(metrics[:2])]
    return [found for x, y in pairs if (found := _tradeoff(evidence, looks, x, y))]


def lines(evidence: Evidence) -> list[list[str]]:
    """Rows that are joined, in the table's order: a trained row and those that only draw otherwise from it."""
    found: dict[str, list[str]] = {}
    for name, arm in evidence.arms.items():
        found.setdefault(_trained(evidence, arm), []).append(name)
    return [rows for rows in found.values() if len(rows) > 1]


def _trained(evidence: Evidence, arm: Arm) -> str:
    """The row that it shares its training with."""
    while arm.row.change and all(key.startswith(JOINED) for key in arm.row.change):
        arm = evidence.against(arm)
    return arm.row.name


def _tradeoff(evidence: Evidence, looks: Mapping[str, Look], x: str, y: str) -> Plot | None:
    alpha = evidence.study.alpha
    rows = [
        name
        for name, arm in evidence.arms.items()
        if estimate(arm.measured(x), alpha) is not None and estimate(arm.measured(y), alpha) is not None
    ]
    if len(rows) < 2:
        return None
    found = {name: [_estimate(evidence, name, metric) for metric in (x, y)] for name in rows}
    labels, traces = [evidence.label(x), evidence.label(y)], []
    for line in lines(evidence):
        joined = [name for name in line if name in found]
        if joined:
            xs, ys = ([found[name][side].value for name in joined] for side in (0, 1))
            traces.append(trace(joined[0], looks[joined[0]], "line", xs, ys, width=1))
    for name in rows:
        label, look, (a, b) = evidence.arms[name].row.label, looks[name], found[name]
        told = "\n".join([label, *(f"{title} {_told(one)}" for title, one in zip(labels, (a, b), strict=True))])
        bars = {"xlow": [a.low], "xhigh": [a.high], "ylow": [b.low], "yhigh": [b.high]}
        traces.append(trace(name, look, "points", [a.value], [b.value], 5, **bars, hover=[told], name=label))
    layout = {
        "x": {"title": _titled(labels[0], evidence.info(x)), "key": x, "bounds": _bounds(evidence.info(x))},
        "y": {"title": _titled(labels[1], evidence.info(y)), "key": y, "bounds": _bounds(evidence.info(y))},
        "legend": len(rows) <= NAMED,
    }
    says = f"{labels[1]} against {labels[0]}: " + "; ".join(
        f"{evidence.arms[name].row.label} {a.value:.4g}, {b.value:.4g}" for name, (a, b) in found.items()
    )
    return plot(f"tradeoff-{x}-{y}", traces, layout, says, 400)


def _estimate(evidence: Evidence, name: str, metric: str) -> Estimate:
    """As in the table: over seeds, of one seed that of sampling."""
    found = estimate(evidence.arms[name].measured(metric), evidence.study.alpha)
    assert found is not None, "only rows that have a number are drawn"
    return found


def _told(one: Estimate) -> str:
    text, spread = rounded(one.value, one.half_width)
    return text if spread is None else f"{text} ± {spread}"


def _titled(label: str, info: MetricInfo | None) -> str:
    return f"{label}, {info.direction} is better" if info and info.direction else label


def _bounds(info: MetricInfo | None) -> list[float | None] | None:
    """Beyond which no axis goes."""
    return None if info is None else [bound if math.isfinite(bound) else None for bound in info.bounds]
