"""Which of several settings is the best: by one metric, or by two of which one is bought at the price of the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from difflab.evaluation.results import Measurement, is_higher_better
from difflab.files import atomic_file


@dataclass(frozen=True)
class Choice:
    """Which of several candidates is the best, by two halves of one noise bank.

    Attributes:
        index: Of the chosen candidate.
        chosen_by: Its measurement on the half on which it was the best.
        reported: Its measurement on the other half.
    """

    index: int
    chosen_by: Measurement
    reported: Measurement


def choose(first: Sequence[Measurement], second: Sequence[Measurement]) -> Choice:
    """The best on the first half, among those that have a number there.

    Args:
        first: One metric of each candidate, on one half of the noise bank.
        second: The same on the other half.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"as many candidates on both halves, and at least one: got {len(first)} and {len(second)}")
    if len({m.metric for m in (*first, *second)}) != 1:
        raise ValueError(f"one metric decides, got {', '.join(sorted({m.metric for m in (*first, *second)}))}")
    sign = -1 if is_higher_better(first[0]) else 1
    usable = [i for i, one in enumerate(first) if math.isfinite(one.value)]
    if not usable:
        raise ValueError(f"{first[0].metric} of every candidate is no number: {first[0].why or first[0].value}")
    index = min(usable, key=lambda i: sign * first[i].value)
    return Choice(index, first[index], second[index])


@dataclass(frozen=True)
class Point:
    """A setting's two measurements.

    Attributes:
        x: The one.
        y: The other.
        line: Settings with the same line are joined, in the order in which they are given.
        label: What stands beside the point.
    """

    x: Measurement
    y: Measurement
    line: str
    label: str


def on_front(points: Sequence[Point]) -> list[bool]:
    """Which points no other one beats in both metrics (Pareto); none that lacks a number."""
    scores = [(_goodness(point.x), _goodness(point.y)) for point in points]

    def beaten(mine: tuple[float, float]) -> bool:
        return not all(map(math.isfinite, mine)) or any(
            other != mine and other[0] >= mine[0] and other[1] >= mine[1] for other in scores
        )

    return [not beaten(score) for score in scores]


def draw_front(points: Sequence[Point], path: str | Path, title: str) -> None:
    """A picture (PNG, SVG or PDF by the path's ending): a line per sampler and steps, bars of 95 % intervals, the front filled in."""
    from matplotlib.figure import Figure

    if len({(p.x.metric, p.y.metric) for p in points}) != 1:
        raise ValueError("a front is drawn of one pair of metrics over at least one setting")
    figure = Figure(figsize=(7, 5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    best = on_front(points)
    for number, line in enumerate(dict.fromkeys(point.line for point in points)):
        color = f"C{number % 10}"
        chosen = [i for i, point in enumerate(points) if point.line == line]
        xs, ys = [points[i].x.value for i in chosen], [points[i].y.value for i in chosen]
        bars = [[_reach(m) for m in side] for side in ([points[i].x for i in chosen], [points[i].y for i in chosen])]
        axes.errorbar(xs, ys, xerr=bars[0], yerr=bars[1], color=color, linewidth=1.2, elinewidth=0.7, label=line)
        for i, x, y in zip(chosen, xs, ys, strict=True):
            axes.plot(x, y, "o", color=color, markerfacecolor=color if best[i] else "white", markersize=6)
            axes.annotate(points[i].label, (x, y), xytext=(5, 5), textcoords="offset points", fontsize=7)
    axes.set_xlabel(_named(points[0].x))
    axes.set_ylabel(_named(points[0].y))
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    title = "bars: 95 %; filled: beaten by no other setting"
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, title=title, title_fontsize=7)
    with atomic_file(path) as aside:
        figure.savefig(aside, format=Path(path).suffix.removeprefix("."))


def _goodness(measurement: Measurement) -> float:
    return measurement.value if is_higher_better(measurement) else -measurement.value


def _named(measurement: Measurement) -> str:
    way = "higher" if is_higher_better(measurement) else "lower"
    return f"{measurement.metric} of {measurement.samples:,} images ({way} is better)"


def _reach(measurement: Measurement) -> float:
    interval = measurement.interval()
    return 0.0 if interval is None else interval[1] - measurement.value
