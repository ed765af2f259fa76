"""A comparison for a person and for a program, and samples of several runs next to each other."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table
from rich.text import Text

from difflab.evaluation import Measurement
from difflab.evaluation.results import label
from difflab.files import atomic_file
from difflab.formatting import probability, rounded, signed
from difflab.runs import RunDirectory
from difflab.studies.compare.comparison import ComparedMetric, Comparison, MetricDifference
from difflab.studies.compare.run_groups import GivenRun, Group
from difflab.studies.planning.confounds import told
from difflab.studies.statistics.one_sample import student_interval

COLUMNS, WIDEST, MARGIN, LINE = 4, 900, 12, 22
"""Pictures in a line; pixels of a picture at most, around it, and of a name."""

_GRID = re.compile(r"(.+)_(\d+)\.png")


def side_by_side(runs: Sequence[GivenRun], path: str | Path) -> Path | None:
    """Writes one PNG with each run's grid of samples under its name; None, and no file, if no run has one.

    Of all runs the newest step of a track that every run has; training draws all grids from the same seeds. Where there is none in
    common, each run's newest grid, else the grid of an evaluation; the line above each says which.
    """
    chosen = _chosen(runs)
    if not any(chosen):
        return None
    tiles = [_tile(run.name, grid) for run, grid in zip(runs, chosen, strict=True)]
    columns = min(COLUMNS, len(tiles))
    width, height = max(tile.width for tile in tiles), max(tile.height for tile in tiles)
    lines = -(-len(tiles) // columns)
    whole = Image.new("RGB", (columns * width, lines * height), "white")
    for i, tile in enumerate(tiles):
        whole.paste(tile, (i % columns * width, i // columns * height))
    with atomic_file(path) as aside:
        whole.save(aside, format="PNG")
    return Path(path)


def _chosen(runs: Sequence[GivenRun]) -> list[Path | None]:
    named = [_grids(run) for run in runs]
    common = set(named[0]).intersection(*named[1:])
    if common:
        best = max(common, key=lambda key: (key[1], key[0]))
        return [grids[best] for grids in named]
    return [_newest(run, grids) for run, grids in zip(runs, named, strict=True)]


def _grids(run: GivenRun) -> dict[tuple[str, int], Path]:
    """(track, step) -> picture"""
    found = {path: _GRID.fullmatch(path.name) for path in RunDirectory(run.path).samples.glob("*.png")}
    return {(match[1], int(match[2])): path for path, match in found.items() if match}


def _newest(run: GivenRun, grids: dict[tuple[str, int], Path]) -> Path | None:
    if grids:
        return grids[max(grids, key=lambda key: (key[1], key[0]))]
    drawn = sorted(run.path.glob("evaluations/*/grid.png"), key=lambda path: (path.stat().st_mtime, path))
    return drawn[-1] if drawn else None


def _tile(name: str, grid: Path | None) -> Image.Image:
    font = ImageFont.load_default(15)
    source = "no samples" if grid is None else _source(grid)
    image = Image.new("RGB", (320, 320), "#eeeeee") if grid is None else Image.open(grid).convert("RGB")
    if image.width > WIDEST:
        image = image.resize((WIDEST, round(image.height * WIDEST / image.width)), Image.Resampling.LANCZOS)
    width = max(image.width, *(int(font.getlength(text)) + 1 for text in (name, source)))
    tile = Image.new("RGB", (width + 2 * MARGIN, image.height + 2 * LINE + 2 * MARGIN), "white")
    draw = ImageDraw.Draw(tile)
    draw.text((MARGIN, MARGIN // 2), name, fill="black", font=font)
    draw.text((MARGIN, MARGIN // 2 + LINE), source, fill="#666666", font=font)
    tile.paste(image, (MARGIN, MARGIN + 2 * LINE))
    return tile


def _source(grid: Path) -> str:
    match = _GRID.fullmatch(grid.name)
    return f"{match[1]}, step {int(match[2]):,}" if match else f"{grid.parent.parent.name}/{grid.parent.name}"


def as_text(comparison: Comparison, width: int = 140) -> str:
    """Columns without colour."""
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, highlight=False, markup=False, emoji=False)
    console.print(_runs(comparison))
    for number, found in comparison.config.items():
        console.print(f"\nconfiguration: {number} against 1")
        table = _table("key", "1", str(number))
        for one in found:
            table.add_row(Text(one.key), Text(told(one.before)), Text(told(one.after)))
        console.print(table)
    if comparison.metrics:
        console.print("\nmetrics")
        console.print(_metrics(comparison))
    if comparison.refused:
        which = "Of these metrics the numbers are" if comparison.metrics else "The numbers are"
        console.print(f"\n{which} not compared: numbers that were measured differently are not one metric.")
    for metric, reason in comparison.refused.items():
        console.print(f"not compared: {metric}: {reason}")
    for note in comparison.notes:
        console.print(note)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def as_data(comparison: Comparison) -> dict[str, Any]:
    """What `--json` prints: plain containers, numbers in full."""
    return {
        "groups": [
            {
                "number": group.number,
                "runs": [
                    {"seed": seed, "path": str(run.path), "name": run.name, "step": run.step, "steps": run.steps}
                    for seed, run in group.runs.items()
                ],
            }
            for group in comparison.groups
        ],
        "config": {
            str(number): [{"key": one.key, "first": told(one.before), "second": told(one.after)} for one in found]
            for number, found in comparison.config.items()
        },
        "metrics": [_metric_data(one) for one in comparison.metrics],
        "refused": dict(comparison.refused),
        "notes": comparison.notes,
    }


def _metric_data(one: ComparedMetric) -> dict[str, Any]:
    return {
        "metric": one.matched.metric,
        "info": None if (info := _measured(one).info) is None else info.to_json(),
        "numbers": {
            name: {
                "value": number.measurement.value,
                "std_error": number.measurement.std_error,
                "samples": number.measurement.samples,
                "fingerprint": number.measurement.protocol.fingerprint,
                "origin": number.origin,
            }
            for name, number in one.matched.numbers.items()
        },
        "differences": {str(number): vars(difference) for number, difference in one.differences.items()},
    }


def _runs(comparison: Comparison) -> Table:
    table = _table("", "run", "seed", "step")
    for group in comparison.groups:
        for seed, run in group.runs.items():
            table.add_row(str(group.number), Text(run.name), str(seed), f"{run.step} of {run.steps}")
    return table


def _metrics(comparison: Comparison) -> Table:
    table = _table("metric", "", "value", "difference", "95 %", "p", "of")
    for one in comparison.metrics:
        for group in comparison.groups:
            difference = one.differences.get(group.number)
            name = "" if difference else _name(one)
            if difference is None:
                table.add_row(name, str(group.number), _value(one, group), "", "", "", Text(_origin(one, group)))
                continue
            text, ends = _difference(difference)
            table.add_row(
                name,
                str(group.number),
                _value(one, group),
                text,
                ends,
                "" if difference.p is None else probability(difference.p),
                Text(f"{difference.basis}; {_origin(one, group)}"),
            )
    return table


def _difference(found: MetricDifference) -> tuple[str, str]:
    """The texts of a difference and of its interval."""
    if found.low is None or found.high is None:
        return f"{signed(found.value, None)[0]}{found.unit}", ""
    half = max(found.high - found.value, found.value - found.low)
    text, spread = signed(found.value, half)
    if not found.unit or spread is None:
        return f"{text}{found.unit}", "" if spread is None else f"-/+ {spread}"
    low, high = (signed(end, half)[0] for end in (found.low, found.high))
    return f"{text}{found.unit}", f"{low} .. {high}{found.unit}"


def _name(one: ComparedMetric) -> str:
    measured = _measured(one)
    arrow = {"higher": " ↑", "lower": " ↓"}.get(measured.info.direction, "") if measured.info else ""
    return f"{label(measured)}{arrow}"


def _measured(one: ComparedMetric) -> Measurement:
    """Of any run: in what is asked of it all are alike."""
    return next(iter(one.matched.numbers.values())).measurement


def _value(one: ComparedMetric, group: Group) -> str:
    """Of several runs the mean -/+ Student's t, of a single one its value with the interval of sampling."""
    found = [one.matched.numbers[run.name].measurement for run in group.runs.values()]
    interval, value = found[0].interval(), found[0].value
    if len(found) > 1:
        values = [measurement.value for measurement in found]
        value, interval = fmean(values), None
        if all(map(math.isfinite, values)):
            interval = student_interval(value, stdev(values), len(values), 0.05)
    text, spread = rounded(value, None if interval is None else float(interval[1] - interval[0]) / 2)
    words = text if spread is None else f"{text} -/+ {spread}"
    return f"{words} ({len(found)} seeds)" if len(found) > 1 else words


def _origin(one: ComparedMetric, group: Group) -> str:
    return ", ".join(dict.fromkeys(one.matched.numbers[run.name].origin for run in group.runs.values()))


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    return table
