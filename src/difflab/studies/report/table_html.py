"""A table as a part of an HTML page."""

from __future__ import annotations

from html import escape

from difflab.studies.report.table import AblationTable, Mark
from difflab.studies.report.table_cells import Column, Content, grid
from difflab.studies.report.table_text import Renderer, full

_CLASS = ' class="number"'


class Html(Renderer):
    """<table class="ablation"> and <ul class="notes">, without style. A cell with a number has data-row, data-field, data-metric, and
    data-value: the text that stands in that row, column and metric of the CSV."""

    suffix = ".html"

    def render(self, table: AblationTable) -> str:
        content, decides = grid(table), table.evidence.study.evaluation.decides
        head = "".join(
            f'<th scope="col"{_CLASS if column.is_number else ""}{_key(column)}>{escape(column.head)}</th>'
            for column in content.columns
        )
        lines = [
            f'<table class="ablation" data-study="{escape(table.evidence.study.name)}">',
            f"<thead><tr>{head}</tr></thead>",
            "<tbody>",
            *(
                f'<tr data-row="{escape(name)}">{_cells(name, content.columns, row, decides)}</tr>'
                for name, row in zip(content.names, content.cells, strict=True)
            ),
            "</tbody>",
            "</table>",
            '<ul class="notes">',
            *(f"<li><sup>{escape(mark.symbol)}</sup> {escape(mark.meaning)}</li>" for mark in content.marks),
            *(f"<li>{escape(note)}</li>" for note in content.notes),
            "</ul>",
        ]
        return "\n".join(lines) + "\n"


def _key(column: Column) -> str:
    """By which programs know the metric."""
    return "" if column.metric is None else f' title="{escape(column.metric)}"'


def _cells(row: str, columns: list[Column], contents: list[Content], decides: str) -> str:
    return "".join(_cell(row, column, one, decides) for column, one in zip(columns, contents, strict=True))


def _cell(row: str, column: Column, content: Content, decides: str) -> str:
    if column.field == "label":
        return f'<th scope="row">{escape(content.text)}{"".join(map(_raised, content.marks))}</th>'
    if column.field == "verdict":
        outcome = content.text.partition(",")[0]
        return f'<td><span class="verdict {escape(outcome)}">{escape(content.text)}</span></td>'
    text = escape(content.text)
    if content.spread is not None:
        text += f' <span class="spread">± {escape(content.spread)}</span>'
    text = f"<strong>{text}</strong>" if content.strong else text
    data = ""
    if content.value is not None:
        data = (
            f' data-row="{escape(row)}" data-field="{column.field}" data-metric="{escape(column.metric or decides)}"'
            f' data-value="{full(content.value)}"'
        )
    return f"<td{_CLASS}{data}>{text}{''.join(map(_raised, content.marks))}</td>"


def _raised(mark: Mark) -> str:
    return f'<sup title="{escape(mark.meaning)}">{escape(mark.symbol)}</sup>'
