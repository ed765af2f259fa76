"""A table as Markdown, as text for a terminal, and as CSV for other programs."""

from __future__ import annotations

import csv
import io
import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping

from difflab.evaluation import Target
from difflab.formatting import aligned, full
from difflab.studies.nodes import CitedRow
from difflab.studies.report.table import AblationTable, Line, Mark
from difflab.studies.report.table_cells import Content, Grid, drawing_seconds, grid
from difflab.studies.spec import Study
from difflab.studies.statistics import RULE


class Renderer(ABC):
    """A form in which a table is written.

    Attributes:
        name: By which a user chooses it.
        suffix: Of a file of this form.
    """

    name: str
    suffix: str

    @abstractmethod
    def render(self, table: AblationTable) -> str:
        """The whole text, with notes where the form has room for them."""


class GridRenderer(Renderer):
    """A form that needs nothing but the cells, and hence writes other tables as well."""

    def render(self, table: AblationTable) -> str:
        return self.written(grid(table))

    @abstractmethod
    def written(self, content: Grid) -> str:
        """The whole text."""


_RAISED = {"a": "ᵃ", "b": "ᵇ", "c": "ᶜ", "d": "ᵈ", "e": "ᵉ"}


class Markdown(GridRenderer):
    """GitHub's pipes; marks and notes as a list below."""

    name, suffix = "markdown", ".md"

    def written(self, content: Grid) -> str:
        lines = [
            _line([_escaped(column.head) for column in content.columns]),
            _line(["--:" if column.is_number else ":--" for column in content.columns]),
            *(_line([_cell(one) for one in row]) for row in content.cells),
            "",
            *(f"- {_symbol(mark)} {_escaped(mark.meaning)}" for mark in content.marks),
            *(f"- {_escaped(note)}" for note in content.notes),
        ]
        return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(content: Content) -> str:
    text = _escaped(content.text) if content.spread is None else f"{content.text} ± {content.spread}"
    raised = "".join(_symbol(mark) for mark in content.marks)
    return (f"**{text}**" if content.strong else text) + (f" {raised}" if raised else "")


def _symbol(mark: Mark) -> str:
    return _RAISED.get(mark.symbol, mark.symbol)


def _escaped(text: str) -> str:
    """What Markdown or the HTML within it would read as a sign."""
    text = " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text)


class Text(GridRenderer):
    """Columns for a terminal; marks and notes below."""

    name, suffix = "text", ".txt"

    def written(self, content: Grid) -> str:
        notes = [*(f"{_symbol(mark)} {mark.meaning}" for mark in content.marks), *content.notes]
        return "\n".join([lines(content), "", *notes, ""])


def lines(content: Grid) -> str:
    """The cells of a table as lines of text."""
    heads = [column.head for column in content.columns]
    return aligned([heads, *([_plain(one) for one in row] for row in content.cells)])


def _plain(content: Content) -> str:
    spread = "" if content.spread is None else f" ± {content.spread}"
    return f"{content.text}{spread}{''.join(_symbol(mark) for mark in content.marks)}"


COLUMNS: tuple[str, ...] = (
    "study", "row", "label", "against", "metric", "decides", "n", "planned", "seeds",
    "mean", "low", "high", "interval_of",
    "delta", "delta_low", "delta_high", "delta_unit", "shared_seeds", "p", "p_holm", "equivalence_p_holm", "verdict",
    "on_average", "p_average_holm", "better_seeds", "worse_seeds", "failed_seeds", "spread", "spread_against", "spread_unit",
    "worst_seed", "worst_delta", "rule",
    "published", "published_delta", "published_source", "published_confidence",
    "parameters", "training_flops", "forward_flops", "sampling_calls", "images", "samples", "fingerprint", "seconds_per_image",
)  # fmt: skip
"""fingerprint is that of the protocol without the sampling seeds; delta to rule stand in the lines of the deciding metric alone, in the
metric's unit or, where delta_unit says so, in per cent. p is Student's, of a row by itself; p_holm is what decides."""


class Csv(Renderer):
    """A line for each row and metric, every number in full: the shortest text that reads back as the same float. Empty: there is none."""

    name, suffix = "csv", ".csv"

    def render(self, table: AblationTable) -> str:
        out = io.StringIO()
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        study = table.evidence.study
        for name, metric in itertools.product(study.order, study.evaluation.metrics):
            cited = study.cited.get(name)
            values = _cited(study, cited, metric) if cited else _values(table, table.lines[name], metric)
            writer.writerow({key: full(value) for key, value in values.items()})
        return out.getvalue()


def _cited(study: Study, row: CitedRow, metric: str) -> Mapping[str, object]:
    """No run is planned, and the number is the published one."""
    values: dict[str, object] = {"study": study.name, "row": row.name, "label": row.label, "metric": metric}
    values |= {"decides": int(metric == study.evaluation.decides), "n": 0, "planned": 0}
    return values | {"verdict": "cited"} | _of_target(row.published.get(metric))


def _of_target(target: Target | None) -> dict[str, object]:
    if target is None:
        return {}
    return {
        "published": target.value,
        "published_source": target.source,
        "published_confidence": target.confidence,
    }


def _values(table: AblationTable, line: Line, metric: str) -> Mapping[str, object]:
    study, arm, found = table.evidence.study, line.arm, line.estimates[metric]
    measured = next((one.measurements[metric] for one in arm.replicates.values()), None)
    target = line.published.get(metric)
    values: dict[str, object] = {
        "study": study.name,
        "row": arm.row.name,
        "label": arm.row.label,
        "against": "" if line.verdict is None else arm.row.against,
        "metric": metric,
        "decides": int(metric == study.evaluation.decides),
        "n": len(arm.replicates),
        "planned": len(study.seeds),
        "seeds": " ".join(map(str, arm.replicates)),
        "published_delta": line.published_delta.get(metric),
        "parameters": arm.facts.parameters,
        "training_flops": arm.facts.training_flops,
        "forward_flops": arm.facts.forward_flops,
        "sampling_calls": arm.facts.sampling_calls,
        "images": arm.facts.images,
        "seconds_per_image": drawing_seconds(arm),
    }
    if found is not None:
        values |= {"mean": found.value, "low": found.low, "high": found.high}
        values["interval_of"] = "" if found.low is None else "seeds" if found.seeds > 1 else "sampling"
    if measured is not None:
        values["samples"] = measured.samples
        values["fingerprint"] = measured.protocol.without("seeds").fingerprint
    values |= _of_target(target)
    if metric == study.evaluation.decides:
        values |= _of_verdict(line)
    return values


def _of_verdict(line: Line) -> Mapping[str, object]:
    verdict = line.verdict
    if verdict is None:
        return {}
    values: dict[str, object] = {
        "p_holm": verdict.p,
        "equivalence_p_holm": verdict.equivalence_p,
        "verdict": verdict.outcome.value,
        "on_average": int(verdict.on_average),
        "p_average_holm": verdict.average_p,
        "rule": RULE,
    }
    if verdict.tally is not None:
        values |= {"better_seeds": len(verdict.tally.wins), "worse_seeds": len(verdict.tally.losses)}
        values["failed_seeds"] = " ".join(map(str, verdict.tally.failed))
    if verdict.difference is not None:
        difference = verdict.difference
        low, high = difference.limits or (None, None)
        values |= {"delta": difference.value, "delta_low": low, "delta_high": high}
        values |= {"delta_unit": difference.scale.unit.strip(), "shared_seeds": difference.n}
        values["p"] = None if verdict.tally is None else difference.p
        if verdict.spreads is not None:
            values |= {"spread": verdict.spreads[0], "spread_against": verdict.spreads[1]}
            values["spread_unit"] = f"{difference.scale.spread}{difference.scale.unit}"
    if verdict.worst is not None:
        values |= {"worst_seed": verdict.worst[0], "worst_delta": verdict.worst[1]}
    return values
