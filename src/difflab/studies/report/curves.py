"""What was logged in training, for the page to draw: per row the mean over seeds with its band."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from difflab.evaluation.results import recognised
from difflab.metrics import MetricInfo, Protocol
from difflab.metrics.protocol import counted
from difflab.runs import RunDirectory
from difflab.studies.history import IMAGES, Column, History
from difflab.studies.report.costs import Trained
from difflab.studies.statistics.curves import Curve, band

TRAINING = "train/"
QUARTERS = {
    "_q1": "times 0 to ¼ (clean)",
    "_q2": "times ¼ to ½",
    "_q3": "times ½ to ¾",
    "_q4": "times ¾ to 1 (noise)",
}
"""Ends of a loss's name -> the times that it is averaged over."""


@dataclass(frozen=True)
class Columns:
    """Reads what runs have written of their evaluations.

    Attributes:
        protocols: eval/<track>/<metric>@<N> -> how that number is measured, and what it is.
    """

    protocols: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, trainings: Iterable[Mapping[int, Path]]) -> Columns:
        """Of all runs together; a run that has written nothing, or nothing that can be read, adds nothing.

        Args:
            trainings: Seed -> directory, of each row.
        """
        found: dict[str, Mapping[str, Any]] = {}
        for runs in trainings:
            for run in runs.values():
                try:
                    found = {**RunDirectory(run).protocols(), **found}
                except (ValueError, OSError):
                    continue
        return cls(found)

    def label(self, column: str) -> str:
        """FD (digits, 500), EMA warm_up; training loss, times 0 to ¼ (clean); the key itself where nothing is known of it."""
        fields = self.protocols.get(column)
        if fields is not None:
            info, samples = self._info(column), fields.get("samples")
            name = str(fields.get("metric.name")) if info is None or not info.label else info.label
            return f"{counted(name, samples if isinstance(samples, int) else 0)}, weights {column.split('/')[1]}"
        if not column.startswith(TRAINING):
            return column
        words = column.removeprefix(TRAINING)
        quarter = next((end for end in QUARTERS if words.endswith(end)), "")
        name = words.removesuffix(quarter).replace("_", " ").replace("vlb", "variational bound")
        name = f"training {name}" if name in ("loss", "simple", "variational bound") else name
        return f"{name}, {QUARTERS[quarter]}" if quarter else name

    def bounds(self, column: str) -> tuple[float, float]:
        """Between which values of a metric lie; open where nothing is known."""
        info = self._info(column)
        return (-math.inf, math.inf) if info is None else info.bounds

    def _info(self, column: str) -> MetricInfo | None:
        """What the run says of it; of numbers without a label, what difflab's metric says."""
        fields = self.protocols.get(column)
        if fields is None:
            return None
        stated = None if fields.get("info") is None else MetricInfo.read(fields["info"], f"info of {column}")
        if stated is not None and stated.label:
            return stated
        plain = {key: value for key, value in fields.items() if key not in ("info", "fingerprint")}
        return recognised(str(fields.get("metric.name")), Protocol(plain)) or stated


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

    Args:
        histories: First row of a training -> seed -> what it logged.
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

    Args:
        track: Comes before others.
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
    """The seeds over which the mean is taken, where some have not come as far as others.

    Those for which seeds * (steps that all of them have) is largest: a seed that has just begun would cut the others short.
    """
    by_progress = sorted(steps, key=lambda seed: -steps[seed][-1])
    areas = [(i + 1) * steps[seed][-1] for i, seed in enumerate(by_progress)]
    return sorted(by_progress[: int(np.argmax(areas)) + 1]) if areas else []


def _short(values: Sequence[float]) -> list[float | None]:
    """Five digits are more than a screen shows; a value that is none is a gap."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]
