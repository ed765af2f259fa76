"""A record as a picture: difflab against the others, with intervals and goals.

A row is a ratio of two contenders that took turns, turned so that more is better to the right: 1.3 is 1.3 times the images in a second, or
1 / 1.3 of the seconds. Point and line are the median of the rounds' ratios and its 95 % interval, the short upright line is the goal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.comparison import is_met, ours_against_others
from benchmarks.growth_curve import is_curve
from benchmarks.record import Measurement, Record

MET, MISSED, PLAIN, GOAL = "#1b7f5c", "#c2410c", "#3b5b92", "#111111"
WIDTH, ROW, AROUND, DPI = 9.0, 0.26, 1.1, 100


@dataclass(frozen=True)
class Row:
    """ratio and low, high: more is better. goal is None where nothing is aimed at."""

    bench: str
    case: str
    pair: str
    ratio: float
    low: float
    high: float
    goal: float | None
    met: bool


def draw(record: Record, path: Path) -> bool:
    """Writes a PNG, if the record has anything to compare."""
    rows = [row for measurement in record.measurements for row in rows_of(measurement)]
    if not rows:
        return False
    height = AROUND + ROW * (len(rows) + len({row.bench for row in rows}) + len({(r.bench, r.case) for r in rows}))
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0.46, 0.62 / height, 0.46, 1 - AROUND / height))
    _drawn(axes, rows)
    machine = ", ".join(str(record.machine[key]) for key in ("gpu", "processor") if key in record.machine)
    figure.text(0.012, 1 - 0.22 / height, f"Speed beside others, {record.date}, {machine}", size=10.5, weight="bold")
    figure.text(
        0.012,
        0.1 / height,
        "to the right: more images/s, fewer seconds, less memory; median of paired rounds with its 95 % interval, | a goal",
        size=8,
        color="#555555",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return True


def rows_of(measurement: Measurement) -> Iterator[Row]:
    """Of a contest with others: against the baseline, and against whom something is aimed at.

    Curves of growth, what we cost ourselves and what has nothing to compare with are none.
    """
    if is_curve(measurement) or measurement.baseline is None:
        return
    goals = {(goal.contender, goal.against): goal for goal in measurement.goals}
    turned = not measurement.more_is_better
    for found in ours_against_others(measurement):
        low, high = found.interval or (found.median, found.median)
        goal = goals.get((found.contender, found.against))
        if low <= 0 or (goal is None and found.against != measurement.baseline):
            continue
        yield Row(
            bench=measurement.bench,
            case=measurement.case,
            pair=f"{found.contender} / {found.against}",
            ratio=1 / found.median if turned else found.median,
            low=1 / high if turned else low,
            high=1 / low if turned else high,
            goal=None if goal is None else 1 / goal.bound if turned else goal.bound,
            met=goal is None or is_met(goal, measurement),
        )


def _drawn(axes: Axes, rows: list[Row]) -> None:
    place, bench, case = 0.0, "", ""
    at = axes.get_yaxis_transform()
    edge = -0.985
    for row in rows:
        if row.bench != bench:
            bench, case = row.bench, ""
            axes.text(edge, place, bench, transform=at, size=9.5, weight="bold", va="center")
            axes.axhline(place - 0.5, color="#dddddd", lw=0.8)
            place += 1
        if row.case != case:
            case = row.case
            axes.text(edge, place, _short(case, 92), transform=at, size=8, color="#444444", va="center")
            place += 1
        colour = PLAIN if row.goal is None else MET if row.met else MISSED
        axes.text(-0.02, place, _short(row.pair, 56), transform=at, size=8, ha="right", va="center")
        axes.plot([row.low, row.high], [place, place], color=colour, lw=2, solid_capstyle="butt")
        axes.plot([row.ratio], [place], "o", color=colour, ms=4.5)
        if row.goal is not None:
            axes.plot([row.goal, row.goal], [place - 0.34, place + 0.34], color=GOAL, lw=1.4)
        axes.text(1.01, place, f"{row.ratio:.3g}", transform=at, size=8, va="center", color=colour)
        place += 1
    axes.set_ylim(place - 0.3, -0.7)
    axes.set_xscale("log", base=2)
    shown = [v for row in rows for v in (row.low, row.high, row.goal or 1)]
    axes.set_xlim(min(0.9, 0.9 * min(shown)), max(1.12, 1.12 * max(shown)))
    ticks = [t for t in (0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64) if axes.get_xlim()[0] <= t <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{t:g}x" for t in ticks], size=8)
    axes.minorticks_off()
    axes.grid(axis="x", color="#eeeeee")
    axes.set_axisbelow(True)
    axes.axvline(1, color="#888888", lw=1)
    axes.set_yticks([])
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
