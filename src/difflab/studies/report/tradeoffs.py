"""Two metrics against each other, a point per row: what a change buys of one at the price of the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from difflab.metrics import MetricInfo
from difflab.studies.evidence import Arm, Evidence
from difflab.studies.report.figure import LINE, NAMED, POINT, Plot, meta, plain, plot
from difflab.studies.report.palette import Look
from difflab.studies.tables import estimate

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
    rows = [name for name, arm in evidence.arms.items() if arm.replicates]
    if len(rows) < 2:
        return None
    figure = go.Figure()
    means = {name: [_mean_and_reach(evidence, name, metric) for metric in (x, y)] for name in rows}
    for line in lines(evidence):
        joined = [name for name in line if name in means]
        xs, ys = [means[name][0][0] for name in joined], [means[name][1][0] for name in joined]
        shown = meta(looks[joined[0]], LINE) if joined else {}
        figure.add_scatter(x=xs, y=ys, mode="lines", line={"width": 1}, meta=shown, hoverinfo="skip", showlegend=False)
    for name in rows:
        arm, look = evidence.arms[name], looks[name]
        (x_mean, x_reach), (y_mean, y_reach) = means[name]
        figure.add_scatter(
            x=[x_mean],
            y=[y_mean],
            error_x=_bar(x_reach),
            error_y=_bar(y_reach),
            mode="markers",
            marker={"symbol": look.mark, "size": 10},
            name=plain(arm.row.label),
            meta=meta(look, POINT),
            hovertemplate=f"<b>{plain(arm.row.label)}</b><br>{x} %{{x:.4g}}<br>{y} %{{y:.4g}}<extra></extra>",
        )
    legend = len(rows) <= NAMED
    figure.update_layout(showlegend=legend)
    figure.update_xaxes(title=_titled(x, evidence.info(x)))
    figure.update_yaxes(title=_titled(y, evidence.info(y)))
    says = f"{y} against {x}: " + "; ".join(
        f"{evidence.arms[name].row.label} {means[name][0][0]:.4g}, {means[name][1][0]:.4g}" for name in rows
    )
    return plot(f"tradeoff-{x}-{y}", figure, says, 400 + 18 * len(rows) * legend)


def _mean_and_reach(evidence: Evidence, name: str, metric: str) -> tuple[float, float | None]:
    """As in the table: over seeds, of one seed that of sampling."""
    found = estimate(evidence.arms[name], metric, evidence.study.alpha)
    assert found is not None, "only rows with a finished seed are drawn"
    return found.value, found.half_width


def _bar(reach: float | None) -> dict[str, object]:
    array: Sequence[float | None] = [reach]
    return {"type": "data", "array": array, "thickness": 1, "width": 3, "visible": reach is not None}


def _titled(metric: str, info: MetricInfo | None) -> str:
    return f"{metric}  ({info.direction} is better)" if info and info.direction else metric
