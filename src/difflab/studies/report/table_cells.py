"""A table's cells as texts, the same for every form in which it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from difflab.evaluation import Target
from difflab.formatting import NOTHING, decimals, probability, rounded, scaled, signed
from difflab.metrics import MetricInfo
from difflab.studies.evidence import Arm
from difflab.studies.nodes import CitedRow
from difflab.studies.report import table as marks
from difflab.studies.report.table import AblationTable, Line, Mark
from difflab.studies.report.table_notes import cited_differently, measured_differently, notes
from difflab.studies.scale import Scale
from difflab.studies.statistics import Outcome


@dataclass(frozen=True)
class Content:
    """A cell.

    Attributes:
        text: Of the number, or words.
        spread: Text of the half-width.
        value: The number in full.
        strong: Significantly better.
    """

    text: str
    value: float | None = None
    spread: str | None = None
    strong: bool = False
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        head: What stands above it.
        field: The column of the CSV in which the number stands in full.
        metric: The metric of the CSV's line; None where it is that of the verdict.
        is_number: Of its cells.
    """

    head: str
    field: str
    metric: str | None = None
    is_number: bool = True


@dataclass(frozen=True)
class Grid:
    """A table as texts.

    Attributes:
        names: Of the rows.
        cells: [rows][columns].
        marks: Those that occur.
        notes: Further lines below the table.
    """

    columns: list[Column]
    names: list[str]
    cells: list[list[Content]]
    marks: list[Mark]
    notes: list[str]


def grid(table: AblationTable) -> Grid:
    study, columns, cells = table.evidence.study, _columns(table), list[list[Content]]()
    for name in study.order:
        if name in study.cited:
            cells.append([_cited(table, study.cited[name], column) for column in columns])
        else:
            cells.append([_content(table, table.lines[name], column) for column in columns])
    used = marks.in_order(mark for row in cells for content in row for mark in content.marks)
    return Grid(columns, list(study.order), cells, used, notes(table))


def _columns(table: AblationTable) -> list[Column]:
    study = table.evidence.study
    decides, lines = study.evaluation.decides, table.lines.values()
    others = [metric for metric in study.evaluation.metrics if metric != decides]
    columns = [
        Column("row", "label", is_number=False),
        Column("seeds", "n"),
        Column(_head(table, decides), "mean", decides),
        Column("Δ", "delta"),
        Column(_p_head(table), "p_holm"),
        Column("verdict", "verdict", is_number=False),
        *(Column(_head(table, metric), "mean", metric) for metric in others),
        Column("parameters", "parameters"),
        Column("FLOPs / image", "training_flops"),
    ]
    if any(drawing_seconds(line.arm) for line in lines):
        columns.append(Column("s / image drawn", "seconds_per_image"))
    if any(decides in line.published for line in lines):
        columns += [Column("published", "published"), Column("published Δ", "published_delta")]
    return columns


def _p_head(table: AblationTable) -> str:
    """Which test p is of, and how it was corrected."""
    signs = any(line.verdict is not None and line.verdict.by_signs for line in table.lines.values())
    return f"p (paired t{' or sign test' * signs}, Holm)"


def _head(table: AblationTable, metric: str) -> str:
    return headed(table.evidence.label(metric), table.evidence.info(metric))


def headed(label: str, info: MetricInfo | None) -> str:
    """A metric with an arrow to where it is better."""
    return label + ({"higher": " ↑", "lower": " ↓"}.get(info.direction, "") if info else "")


def _content(table: AblationTable, line: Line, column: Column) -> Content:
    if column.metric is not None:
        return _mean(table, line, column.metric)
    return _WRITERS[column.field](table, line)


def _label(table: AblationTable, line: Line) -> Content:
    return Content(line.arm.row.label)


def _seeds(table: AblationTable, line: Line) -> Content:
    there, lacking = len(line.arm.replicates), len(line.arm.missing) + len(line.arm.diverged)
    return Content(f"{there} of {there + lacking}" if lacking else str(there), there)


def _mean(table: AblationTable, line: Line, metric: str) -> Content:
    found = line.estimates[metric]
    if found is None:
        return Content(NOTHING)
    text, spread = rounded(found.value, found.half_width)
    strong = metric == table.evidence.study.evaluation.decides and _is_better(line)
    noted = [marks.ONE_SEED] if found.seeds == 1 else []
    noted += [marks.FAILED] if line.arm.failed(metric) else []
    return Content(text, found.value, spread, strong, tuple(noted))


def _delta(table: AblationTable, line: Line) -> Content:
    verdict, study = line.verdict, table.evidence.study
    if verdict is None or verdict.difference is None:
        return Content(NOTHING)
    text, spread = difference_text(verdict.difference)
    mark: tuple[Mark, ...] = ()
    if verdict.outcome is Outcome.EQUIVALENT and verdict.equivalence is not None:
        mark = (marks.equivalent(verdict.equivalence.margin, verdict.metric),)
    elif verdict.p is None:
        mark = (marks.UNTESTED,)
    elif verdict.outcome is Outcome.INCONCLUSIVE:
        mark = (marks.not_significant(study.alpha),)
    return Content(text, verdict.difference.value, spread, _is_better(line), mark)


class Difference(Protocol):
    """A difference with its interval, as people are told it, and the scale on which it was taken."""

    @property
    def value(self) -> float: ...

    @property
    def limits(self) -> tuple[float, float] | None: ...

    @property
    def half_width(self) -> float | None: ...

    @property
    def scale(self) -> Scale: ...


def difference_text(difference: Difference) -> tuple[str, str | None]:
    """The text of a difference and of its half-width; a ratio has two sides, which stand in the text."""
    half, limits, unit = difference.half_width, difference.limits, difference.scale.unit
    text, spread = signed(difference.value, half)
    if not unit:
        return text, spread
    if spread is None or limits is None:
        return f"{text}{unit}", None
    low, high = (signed(end, half)[0] for end in limits)
    return f"{text}{unit} [{low}, {high}]", None


def _p(table: AblationTable, line: Line) -> Content:
    if line.verdict is None or line.verdict.p is None:
        return Content(NOTHING)
    return Content(probability(line.verdict.p), line.verdict.p)


def _verdict(table: AblationTable, line: Line) -> Content:
    if line.verdict is None:
        return Content("baseline")
    return Content(line.verdict.outcome.value + ", also on average" * line.verdict.on_average)


def _is_better(line: Line) -> bool:
    return line.verdict is not None and line.verdict.outcome is Outcome.BETTER


def _parameters(table: AblationTable, line: Line) -> Content:
    return Content(scaled(line.arm.facts.parameters), line.arm.facts.parameters)


def _flops(table: AblationTable, line: Line) -> Content:
    return Content(scaled(line.arm.facts.training_flops), line.arm.facts.training_flops)


def drawing_seconds(arm: Arm) -> float | None:
    """That an image took to be drawn: the median over the seeds of which it is known."""
    known = [one.seconds_per_image for one in arm.replicates.values() if one.seconds_per_image is not None]
    return median(known) if known else None


def _drawing(table: AblationTable, line: Line) -> Content:
    seconds = drawing_seconds(line.arm)
    return Content(NOTHING) if seconds is None else Content(f"{seconds:.2g}", seconds)


def _cited(table: AblationTable, row: CitedRow, column: Column) -> Content:
    """Numbers stand in their metrics' columns, as in a paper's table; the mean of the CSV they are not, and so they carry no value."""
    if column.field == "label":
        return Content(row.label, marks=(marks.CITED,))
    if column.field == "verdict":
        return Content("cited")
    target = row.published.get(column.metric or "")
    if target is None:
        return Content(NOTHING)
    found = [marks.CITED, *_confidence(target)]
    if cited_differently(table, target):
        found.append(marks.MEASURED_DIFFERENTLY)
    return Content(f"{target.value:.{decimals(target.value)}f}", marks=tuple(marks.in_order(found)))


def _confidence(target: Target) -> list[Mark]:
    return {"secondary": [marks.SECONDARY], "unverified": [marks.UNVERIFIED]}.get(target.confidence, [])


def _published(table: AblationTable, line: Line) -> Content:
    target = line.published.get(table.evidence.study.evaluation.decides)
    if target is None:
        return Content(NOTHING)
    found = _confidence(target)
    if measured_differently(line, target):
        found.append(marks.MEASURED_DIFFERENTLY)
    return Content(f"{target.value:.{decimals(target.value)}f}", target.value, marks=tuple(found))


def _published_delta(table: AblationTable, line: Line) -> Content:
    decides = table.evidence.study.evaluation.decides
    delta = line.published_delta.get(decides)
    if delta is None:
        return Content(NOTHING)
    both = [line.published[decides], table.lines[line.arm.row.against].published[decides]]
    text = f"{delta:+.{decimals(*(target.value for target in both))}f}"
    return Content(text.removeprefix("+") if delta == 0 else text, delta)


_WRITERS: Mapping[str, Callable[[AblationTable, Line], Content]] = {
    "label": _label,
    "n": _seeds,
    "delta": _delta,
    "p_holm": _p,
    "verdict": _verdict,
    "parameters": _parameters,
    "training_flops": _flops,
    "seconds_per_image": _drawing,
    "published": _published,
    "published_delta": _published_delta,
}
"""Of all columns but the means."""
