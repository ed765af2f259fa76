"""Two metrics against each other, a point per row: what a change buys of one at the price of the other."""

from __future__ import annotations

import math
from collections.abc import Mapping

from difflab.metrics import MetricInfo
from difflab.studies.evidence import Arm, Evidence
from difflab.studies.report.figure import NAMED, Plot, plot, trace
from difflab.studies.report.palette import Look
from difflab.studies.tables import Estimate, estimate
from difflab.studies.tables.rounding import rounded

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
        if estimate(arm, x, alpha) is not None and estimate(arm, y, alpha) is not None
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
    found = estimate(evidence.arms[name], metric, evidence.study.alpha)
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
