"""What was logged in training, for the page to draw over any axis: per row the mean over seeds and its band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from difflab.studies.history import IMAGES, Column, History
from difflab.studies.inference.curves import Curve, band
from difflab.studies.report.columns import Columns
from difflab.studies.report.trained import Trained

POINTS = 300
"""Of a curve at most."""

NUMBERS = 600_000
"""Of all curves together at most; with very many rows curves have fewer points."""

SHOWN = 10
"""Rows that are shown at first; the others are in the legend."""

HEIGHT = 460

AXES = {"step": "optimizer steps", "images": "images seen", "flops": "FLOPs of training", "hours": "hours of training"}


def curves(
    rows: Sequence[Trained],
    histories: Mapping[str, Mapping[int, History]],
    baseline: str,
    decides: str,
    alpha: float,
) -> dict[str, Any]:
    """{} where nothing was logged. Else what curves.js reads.

    histories   first row of a training -> seed -> what it logged
    """
    logged = {name for seeds in histories.values() for one in seeds.values() for name in one.columns}
    (track,) = [row.track for row in rows if baseline in row.rows]
    names = ordered(logged, decides, track)
    if not names:
        return {}
    points = int(np.clip(NUMBERS / (5 * len(rows) * len(names)), 20, POINTS))
    metrics, columns = {}, Columns.of(row.runs for row in rows)
    for name in names:
        bounds = columns.bounds(name)
        found = [_curve(number, histories[row.rows[0]], name, alpha, points, bounds) for number, row in enumerate(rows)]
        metrics[name] = {
            "label": columns.label(name),
            "bounds": [bound if np.isfinite(bound) else None for bound in bounds],
            "curves": [curve for curve in found if curve],
        }
    return {
        "rows": [_row(number, row, baseline) for number, row in enumerate(rows)],
        "metrics": metrics,
        "axes": AXES,
        "height": HEIGHT,
    }


def ordered(names: set[str], decides: str, track: str | None) -> list[str]:
    """The deciding metric first, other evaluations, then the losses, each before its quarters.

    track   comes before others
    """

    def rank(name: str) -> tuple[bool, bool, bool, bool, str]:
        metric, of_track = name.rsplit("/", 1)[-1].split("@")[0], name.startswith(f"eval/{track}/")
        return (metric != decides, not of_track, not name.startswith("eval/"), not name.startswith("train/loss"), name)

    return sorted(names - {IMAGES}, key=rank)


def cut_short(rows: Sequence[Trained], histories: Mapping[str, Mapping[int, History]]) -> list[str]:
    """A sentence for each row whose curves leave out seeds that have not come as far."""
    found = []
    for row in rows:
        steps = {seed: history.steps for seed, history in histories[row.rows[0]].items() if len(history.steps)}
        if left := sorted(steps.keys() - set(widest(steps))):
            found.append(f"{row.label}: without seed {', '.join(map(str, left))}, not as far yet.")
    return found


def _row(number: int, row: Trained, baseline: str) -> dict[str, Any]:
    facts, of_baseline = row.arm.facts, baseline in row.rows
    return {
        "name": row.rows[0],
        "label": row.label,
        "colour": row.look.colour,
        "dash": row.look.dash,
        "mark": row.look.mark,
        "baseline": of_baseline,
        "shown": number < SHOWN or of_baseline,
        "per_step": {"images": facts.batch, "flops": facts.batch * facts.training_flops},
    }


def _curve(
    number: int, histories: Mapping[int, History], name: str, alpha: float, points: int, bounds: tuple[float, float]
) -> dict[str, Any]:
    of_seeds = {seed: history.curve(name) for seed, history in histories.items()}
    chosen = widest({seed: x for seed, (x, _) in of_seeds.items() if len(x)})
    if not chosen:
        return {}
    common = reduce(np.intersect1d, (of_seeds[seed][0] for seed in chosen))
    if not len(common):
        return {}
    kept = common[np.unique(np.linspace(0, len(common) - 1, min(points, len(common))).round().astype(int))]
    at = {seed: of_seeds[seed][1][np.searchsorted(of_seeds[seed][0], kept)] for seed in chosen}
    over = band({seed: Curve(kept.tolist(), y.tolist()) for seed, y in at.items()}, alpha, bounds)
    curve = {"row": number, "seeds": list(chosen), "step": _short(over.x), "mean": _short(over.mean)}
    if over.low:
        curve |= {"low": _short(over.low), "high": _short(over.high)}
    hours = [np.interp(kept, histories[seed].steps, histories[seed].seconds) / 3600 for seed in chosen]
    if np.isfinite(hours).all():
        curve["hours"] = _short(np.mean(hours, axis=0).tolist())
    return curve


def widest(steps: Mapping[int, Column]) -> list[int]:
    """The seeds over which the mean is taken, where some have not come as far as others: those for which seeds * (steps that all of
    them have) is largest. A seed that has just begun would cut the others short."""
    by_progress = sorted(steps, key=lambda seed: -steps[seed][-1])
    areas = [(i + 1) * steps[seed][-1] for i, seed in enumerate(by_progress)]
    return sorted(by_progress[: int(np.argmax(areas)) + 1]) if areas else []


def _short(values: Sequence[float]) -> list[float | None]:
    """Five digits are more than a screen shows; a value that is none is a gap."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]
