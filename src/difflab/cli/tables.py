"""Numbers for a person: with intervals, with their fingerprints, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from difflab.metrics import Difference, Measurement, ProtocolMismatch, Results, at_count, check_comparable
from difflab.metrics.protocol import is_covered
from difflab.metrics.variance_components import variance_components


def results_table(results: Results, title: str) -> str:
    """A line per number: value, interval, and the fingerprint of how it was measured."""
    rows = [("metric", "value", "95 % interval", "better", "protocol")]
    for m in results.measurements:
        rows.append(
            (
                _label(m),
                f"{m.value:.4g}",
                _interval(m),
                "" if m.info is None else m.info.direction,
                m.protocol.fingerprint,
            )
        )
    return f"{title}\n{_aligned(rows)}"


def seeds_table(results: Sequence[Results], waived: Sequence[str]) -> str:
    """Several runs that differ in their training seed alone: the mean, and how much of the spread is the sampling's.

    ProtocolMismatch if they were measured differently.
    """
    rows = [("metric", "mean over runs", "95 % interval", "sd of training", "sd of sampling", "runs")]
    for first in results[0].measurements:
        found = [one[first.metric] for one in results]
        for other in found[1:]:
            _comparable(first, other, waived)
        values, errors = [m.value for m in found], [m.std_error for m in found]
        known = [error for error in errors if error is not None]
        if len(known) < len(found):
            continue
        parts = variance_components(values, known)
        low, high = parts.interval()
        rows.append(
            (
                _label(first),
                f"{parts.mean:.4g}",
                f"{low:.4g} .. {high:.4g}",
                f"{math.sqrt(parts.training):.2g}",
                f"{math.sqrt(parts.sampling):.2g}",
                str(len(found)),
            )
        )
    return f"{len(results)} runs together\n{_aligned(rows)}"


def comparison_table(files: Sequence[str], waived: Sequence[str]) -> str:
    """The numbers that results files have in common, the difference to the first file's.

    ProtocolMismatch if a number was measured differently and not all differences are waived. A difference has the interval of two
    independent estimates; measured on the same seeds it is narrower in truth.
    """
    if len(files) < 2:
        raise ValueError("compare names two results.json files at least")
    results = [_read(Path(file)) for file in files]
    common = [m for m in results[0].measurements if all(_has(other, m.metric) for other in results[1:])]
    if not common:
        raise ValueError(f"{' and '.join(files)} have no metric in common")
    rows, noted = [("metric", "file", "value", "95 % interval", "difference", "95 % of it")], set[Difference]()
    for first in common:
        rows.append((_label(first), files[0], f"{first.value:.4g}", _interval(first), "", ""))
        for file, other in zip(files[1:], results[1:], strict=True):
            m = _nearest(other, first)
            noted |= set(_comparable(first, m, waived))
            rows.append(("", file, f"{m.value:.4g}", _interval(m), f"{m.value - first.value:+.4g}", _reach(first, m)))
    idle = [name for name in waived if not any(is_covered(difference.field, [name]) for difference in noted)]
    lines = [_aligned(rows), *(f"waived: {difference}" for difference in sorted(map(str, noted)))]
    return "\n".join([*lines, *(f"waived for nothing: {name} differs nowhere" for name in idle)])


def _comparable(first: Measurement, second: Measurement, waived: Sequence[str]) -> list[Difference]:
    """The differences that were waived; a ProtocolMismatch that names the metric if there are others."""
    try:
        return check_comparable(first.protocol, second.protocol, waived)
    except ProtocolMismatch as error:
        raise ValueError(f"{_label(first)} and {_label(second)}: {error}") from error


def _read(path: Path) -> Results:
    place = path / "results.json" if path.is_dir() else path
    if not place.is_file():
        raise ValueError(f"compare: there is no file {place}")
    try:
        return Results.from_json(place.read_text(encoding="utf-8"), place)
    except UnicodeDecodeError as error:
        raise ValueError(f"{place} is no file of results, as evaluate.py writes them") from error


def _has(results: Results, metric: str) -> bool:
    return any(m.metric == metric for m in results.measurements)


def _nearest(results: Results, wanted: Measurement) -> Measurement:
    """Of several measurements of a metric the one whose protocol differs least."""
    found = [m for m in results.measurements if m.metric == wanted.metric]
    return min(found, key=lambda m: len(wanted.protocol.differences(m.protocol)))


def _reach(a: Measurement, b: Measurement) -> str:
    if a.std_error is None or b.std_error is None:
        return ""
    return f"-/+ {1.96 * (a.std_error**2 + b.std_error**2) ** 0.5:.2g}"


def _label(measurement: Measurement) -> str:
    return at_count(measurement.metric, measurement.samples) if measurement.samples else measurement.metric


def _interval(measurement: Measurement) -> str:
    interval = measurement.interval()
    return "" if interval is None else f"{interval[0]:.4g} .. {interval[1]:.4g}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
