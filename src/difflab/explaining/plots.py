"""The plots of rows side by side, for the page of `explain` and for the report of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.explaining.curves import Curve, Drawn, betas, drawn_times, effective_weight, log_snr, times
from difflab.explaining.row import Row
from difflab.pages import Look, Plot, plot, trace
from difflab.pages.figure import DASHES

HEIGHT, GRID_ROW, LIMIT = 330, 30, 20.0
"""Pixels of a plot, and of a row of the grids; the largest log-SNR that is shown, to either side."""

NAMES = 3
"""Rows that are named where several are one line."""

SHOWN = 200
"""Points of a line, each with what it says when pointed at: more would be no smoother at this size."""

MOST_TICKS = 101
"""On a curve; more of them would be a band."""

WEIGHTS = 1e-5, 1e5
"""Weights beyond these, relative to that at log-SNR 0, are not shown."""

TITLES = {
    "alpha": "signal: alpha",
    "sigma": "noise: sigma",
    "log_snr": "log-SNR: log(alpha² / sigma²)",
    "betas": "beta: variance that a step adds",
    "grid": "times that the sampler visits",
    "density": "density of training times",
    "weight": "effective weight; 1 at log-SNR 0",
}


@dataclass(frozen=True)
class Told:
    """A row with its curves.

    Attributes:
        row: The row.
        look: How it is drawn.
        drawn: Its training times.
        weight: Its effective weight.
    """

    row: Row
    look: Look
    drawn: Drawn | None
    weight: Curve | None

    @classmethod
    def of(cls, row: Row, look: Look) -> Told:
        drawn = drawn_times(row)
        return cls(row, look, drawn, effective_weight(row, drawn))


def overlaid(looks: Sequence[Look]) -> list[Look]:
    """The looks with dashes by which lines over each other are told apart."""
    return [replace(look, dash=DASHES[i % len(DASHES)]) for i, look in enumerate(looks)]


def of_schedules(rows: Sequence[Told]) -> list[Plot]:
    """alpha, sigma, log-SNR with the grid's times, betas, and the grids by themselves; each where some row has it."""
    t = [times(one.row.schedule) for one in rows]
    with torch.no_grad():
        levels = [one.row.schedule(at) for one, at in zip(rows, t, strict=True)]
        snrs = [log_snr(one.row.schedule, at) for one, at in zip(rows, t, strict=True)]
    alphas = _over_time(
        "alpha", rows, [Curve.of(at, a) for at, (a, _) in zip(t, levels, strict=True)], bounds=[0, None]
    )
    sigmas = [Curve.of(at, sigma) for at, (_, sigma) in zip(t, levels, strict=True)]
    wide = max(float(curve.y.max()) for curve in sigmas) > 2
    plots = [
        alphas,
        _over_time("sigma", rows, sigmas, log=wide, range=[1e-3, _top(sigmas)] if wide else None, bounds=[0, None]),
        _over_time(
            "log_snr",
            rows,
            [Curve.of(at, level) for at, level in zip(t, snrs, strict=True)],
            [_ticks(one) for one in rows if one.row.grid is not None and len(one.row.grid) <= MOST_TICKS],
            range=_range(snrs),
        ),
    ]
    found = [betas(one.row.schedule) for one in rows]
    if any(found):
        plots.append(_over_time("betas", rows, found, log=True))
    return plots


def of_grids(rows: Sequence[Told]) -> list[Plot]:
    """The grids under each other; none where no row has one."""
    having = [(one, one.row.grid[1:]) for one in rows if one.row.grid is not None]
    if not having:
        return []
    traces, labels = [], []
    for i, (one, grid) in enumerate(having):
        y = len(having) - 1 - i
        hover = [f"{one.row.name}\nt = {at:.4g}, step {step}" for step, at in enumerate(grid.tolist(), 1)]
        shown = grid.tolist()
        traces.append(
            trace(one.row.name, one.look, "ticks", shown, [y] * len(shown), 8, hover=hover) | {"mark": "tick"}
        )
        labels.append({"y": y, "label": one.row.name, "text": steps(one.row), "outcome": one.look.colour})
    layout = {"x": {"title": "t", "range": [0, 1.004]}, "y": {"range": [-0.7, len(having) - 0.3]}, "rows": labels}
    says = "; ".join(f"{label['label']}: {label['text']}" for label in labels)
    return [plot("grid", traces, layout, f"Times of the samplers. {says}", len(having) * GRID_ROW * 2 + 60)]


def of_training(rows: Sequence[Told]) -> list[Plot]:
    """Density of training times, and effective weight, over log-SNR; each where some row has it."""
    densities = [one.drawn and Curve.of(one.drawn.log_snr, one.drawn.density) for one in rows]
    weights = [one.weight and _one_at_zero(one.weight) for one in rows]
    known = [curve.x for curve in (*densities, *weights) if curve]
    if not known:
        return []
    across = {"title": "log-SNR (noise on the left)", "range": _range(known)}
    plots = [_lines("density", rows, densities, across, {"title": TITLES["density"], "bounds": [0, None]})]
    if any(weights):
        axis = {"title": TITLES["weight"], "log": True, "range": _weights_shown(weights)}
        plots.append(_lines("weight", rows, weights, across, axis))
    return plots


def without_weight(rows: Sequence[Told]) -> list[str]:
    """The rows that have no effective weight."""
    return [one.row.name for one in rows if one.weight is None]


def steps(row: Row) -> str:
    """Of the sampler."""
    return "finds its own times" if row.grid is None else f"{len(row.grid) - 1:,} steps"


def _one_at_zero(curve: Curve) -> Curve:
    """Divided by its value where signal and noise are alike: a factor of the whole loss changes nothing for Adam."""
    return Curve(curve.x, curve.y / curve.y[curve.x.abs().argmin()])


def _weights_shown(curves: Sequence[Curve | None]) -> list[float]:
    """From the smallest to the largest weight within the limits of log-SNR."""
    seen = torch.cat([curve.y[(curve.x.abs() <= LIMIT) & (curve.y > 0)] for curve in curves if curve])
    seen = seen.clamp(*WEIGHTS)
    return [float(seen.min()) / 2, float(seen.max()) * 2]


def _over_time(
    name: str, rows: Sequence[Told], curves: Sequence[Curve | None], over: Sequence[Mapping[str, Any]] = (), **axis: Any
) -> Plot:
    y = {"title": TITLES[name], **{key: value for key, value in axis.items() if value is not None}}
    return _lines(name, rows, curves, {"title": "t (0 is clean)", "range": [0, 1]}, y, over)


def _lines(
    name: str,
    rows: Sequence[Told],
    curves: Sequence[Curve | None],
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    over: Sequence[Mapping[str, Any]] = (),
) -> Plot:
    alike: dict[tuple[tuple[float, ...], ...], list[Told]] = {}
    for one, curve in zip(rows, curves, strict=True):
        if curve is not None and len(curve.x):
            thin = curve.thinned(SHOWN)
            alike.setdefault((tuple(_short(thin.x)), tuple(_short(thin.y))), []).append(one)
    traces = []
    for (xs, ys), same in alike.items():
        label, look = together([one.row.name for one in same]), same[0].look
        hover = [f"{label}\n{_at(x)} = {a:.4g}: {b:.4g}" for a, b in zip(xs, ys, strict=True)]
        traces.append(trace(same[0].row.name, look, "line", xs, ys, name=label, dash=look.dash, hover=hover, width=2))
    layout = {"x": x, "y": y, "legend": True}
    return plot(
        name, [*traces, *over], layout, f"{TITLES[name]}, of {'; '.join(one['name'] for one in traces)}", HEIGHT
    )


def together(names: Sequence[str]) -> str:
    """Of rows that are one line: the first ones by name, the others counted."""
    shown = ", ".join(names[:NAMES])
    return shown if len(names) <= NAMES else f"{shown} + {len(names) - NAMES}"


def _at(x: Mapping[str, Any]) -> str:
    return str(x["title"]).partition(" ")[0]


def _ticks(one: Told) -> dict[str, Any]:
    """The grid's times on the curve of log-SNR."""
    grid = one.row.grid
    assert grid is not None
    curve = Curve.of(grid, log_snr(one.row.schedule, grid))
    return trace(one.row.name, one.look, "ticks", _short(curve.x), _short(curve.y), 5) | {"mark": "tick"}


def _range(values: Sequence[Float64[Tensor, " n"]]) -> list[float]:
    """From the least to the largest log-SNR, within the limits."""
    finite = torch.cat([one[one.isfinite()] for one in values]).clamp(-LIMIT, LIMIT)
    return [float(finite.min()) - 0.5, float(finite.max()) + 0.5]


def _top(curves: Sequence[Curve]) -> float:
    return 1.3 * max(float(curve.y.max()) for curve in curves)


def _short(values: Float64[Tensor, " n"]) -> list[float]:
    """Five digits are more than a screen shows."""
    return [float(f"{value:.5g}") for value in values.tolist()]
