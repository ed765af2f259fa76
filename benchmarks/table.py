"""A record as a page of Markdown: what was aimed at, then a table per benchmark.

Values are medians over rounds with their quartiles; ratios to the baseline are medians of the rounds' ratios with a 95 % interval of the
median (sign test, no assumption on the noise). Exponents of growth are fitted here, from the medians. Everything follows from the record.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from benchmarks.comparison import Comparison, compare, comparisons, is_met
from benchmarks.growth_curve import Exponent, exponent, exponent_of, is_curve, sizes
from benchmarks.record import Measurement, Record
from difflab.formatting import rounded, scaled

HIDDEN = frozenset({"x", "expected", "goal_seconds"})
"""Facts that stand elsewhere in the page."""


def page(record: Record) -> str:
    lines = [f"# Speed, {record.date}", "", f"`{record.command}`", "", *_circumstances(record)]
    if goals := [row for m in record.measurements for row in _goals(m)]:
        lines += ["", "## Goals", "", *_table(["case", "goal", "measured", ""], goals)]
    for bench in dict.fromkeys(m.bench for m in record.measurements):
        mine = [m for m in record.measurements if m.bench == bench]
        contests, curves = [m for m in mine if not is_curve(m)], [m for m in mine if is_curve(m)]
        lines += ["", f"## {bench}"]
        if contests:
            head = ["case", "contender", "median (quartiles)", "ratio (95 %)", "known"]
            lines += ["", *_table(head, [row for m in contests for row in _rows(m)])]
        if curves:
            head = ["curve", "smallest to largest", "exponent", "at the end", "of the operations", "expected"]
            lines += ["", *_table(head, [_curve(m) for m in curves])]
    return "\n".join(lines) + "\n"


def value(number: float) -> str:
    """Four significant digits, with a prefix from a thousand on."""
    return scaled(number) if abs(number) >= 1000 else rounded(number, None)[0]


def ratio(found: Comparison) -> str:
    """With as many digits as its interval allows, and no more than four that count."""
    if found.interval is None:
        return rounded(found.median, None)[0]
    half = (found.interval[1] - found.interval[0]) / 2
    width = half if half > 0.01 * abs(found.median) else None
    median, low, high = (rounded(number, width)[0] for number in (found.median, *found.interval))
    return f"{median} ({low} to {high})"


def _circumstances(record: Record) -> list[str]:
    """Machine, versions, load, in lines."""
    machine = ", ".join(f"{key.replace('_', ' ')} {told}" for key, told in record.machine.items())
    packages = ", ".join(f"{name} {number}" for name, number in record.versions.items())
    load = f"{record.load[0]:.1f} before, {record.load[1]:.1f} after"
    rounds = sorted({len(next(iter(m.values.values()))) for m in record.measurements})
    counts = ", ".join(map(str, rounds)) or "none"
    return [f"- {machine}", f"- {packages}", f"- load average {load}", f"- rounds: {counts}"]


def _goals(measurement: Measurement) -> Iterable[list[str]]:
    place, word = f"{measurement.bench}: {measurement.case}", "at least" if measurement.more_is_better else "at most"
    for goal in measurement.goals:
        found = compare(measurement, goal.contender, goal.against)
        said = ("met" if is_met(goal, measurement) else "**missed**") + _doubt(found, goal.bound)
        yield [place, f"{goal.contender} {word} {goal.bound:g} x {goal.against}", ratio(found), said]
    for name, facts in measurement.facts.items():
        if (bound := facts.get("goal_seconds")) is not None and name in measurement.values:
            median = statistics.median(measurement.values[name])
            said = "met" if median <= bound else "**missed**"
            yield [place, f"{name} at most {bound:g} s", f"{value(median)} s", said]


def _doubt(found: Comparison, bound: float) -> str:
    if found.interval is None:
        return ", few rounds"
    return ", within the noise" if found.interval[0] < bound < found.interval[1] else ""


def _rows(measurement: Measurement) -> Iterable[list[str]]:
    """A row for each contender; the case stands in the first."""
    ratios = {name: ratio(found) for name, found in comparisons(measurement).items()}
    case = f"{measurement.case}, {measurement.unit}"
    for name, values in measurement.values.items():
        beside = "baseline" if name == measurement.baseline else ratios.get(name, "")
        known = ", ".join(_fact(*fact) for fact in measurement.facts.get(name, {}).items() if fact[0] not in HIDDEN)
        yield [case, name, spread(values), beside, known]
        case = ""


def spread(values: Sequence[float]) -> str:
    """The median, and the quartiles where there are several values."""
    median = value(statistics.median(values))
    if min(values) == max(values):
        return median
    low, high = np.quantile(values, [0.25, 0.75])
    return f"{median} ({value(low)} to {value(high)})"


def _curve(measurement: Measurement) -> list[str]:
    found = sizes(measurement)
    ends = [f"{value(statistics.median(measurement.values[name]))} {measurement.unit} at {x:g}" for x, name in found]
    fit, work = exponent(measurement), exponent_of(measurement, "flops")
    expected = str(measurement.facts[found[0][1]].get("expected", ""))
    return [
        measurement.case,
        f"{ends[0]}, {ends[-1]}",
        _exponent(fit),
        f"{fit.at_the_end:.2f}",
        "" if work is None else f"{work.value:.2f}, at the end {work.at_the_end:.2f}",
        expected,
    ]


def _exponent(fit: Exponent) -> str:
    return f"{fit.value:.2f}" if fit.standard_error is None else f"{fit.value:.2f} ± {fit.standard_error:.2f}"


def _fact(name: str, told: Any) -> str:
    is_number = isinstance(told, float) or (isinstance(told, int) and abs(told) >= 1000)
    return f"{name.replace('_', ' ')} {value(told) if is_number else told}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines]
