"""A table for a page of HTML, and for a paper in LaTeX."""

from __future__ import annotations

import re
from html import escape

from difflab.formatting import full
from difflab.studies.report.table import AblationTable, Mark
from difflab.studies.report.table_cells import Column, Content, grid
from difflab.studies.report.table_text import Renderer


def renderers() -> dict[str, type[Renderer]]:
    """Name -> form, of all forms of a table."""
    found = [form for kind in Renderer.__subclasses__() for form in (kind.__subclasses__() or [kind])]
    return {form.name: form for form in found}


_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "_": r"\_",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
    "→": r"$\to$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "√": r"$\surd$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "ε": r"$\varepsilon$",
    "η": r"$\eta$",
    "λ": r"$\lambda$",
    "μ": r"$\mu$",
    "ρ": r"$\rho$",
    "σ": r"$\sigma$",
    "Δ": r"$\Delta$",
    "Σ": r"$\Sigma$",
    "²": r"$^2$",
    "∞": r"$\infty$",
}
"""What LaTeX would read as a sign, or has no letter for without further packages."""

_MINUS = re.compile(r"(?<![\w.)])-(?=\d)")
"""A hyphen that is the sign of a number."""

_RAISED = {"†": r"\dagger", "‡": r"\ddagger", "§": r"\S", "¶": r"\P"}


class Latex(Renderer):
    r"""A floating table of booktabs: \usepackage{booktabs} is all that it needs."""

    name, suffix = "latex", ".tex"

    def render(self, table: AblationTable) -> str:
        study, content = table.evidence.study, grid(table)
        notes = [
            *(f"${_raised(mark)}$ {escaped(mark.meaning)}." for mark in content.marks),
            *map(escaped, content.notes),
        ]
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(study.question)}}}",
            rf"\label{{tab:{''.join(c if c.isalnum() else '-' for c in study.name)}}}",
            rf"\begin{{tabular}}{{{''.join('r' if column.is_number else 'l' for column in content.columns)}}}",
            r"\toprule",
            _line([escaped(column.head) for column in content.columns]),
            r"\midrule",
            *(_line([_cell(one) for one in row]) for row in content.cells),
            r"\bottomrule",
            r"\end{tabular}",
            "",
            r"\smallskip",
            r"\begin{minipage}{\linewidth}\footnotesize",
            "\\\\\n".join(notes),
            r"\end{minipage}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Plain words for LaTeX."""
    return "".join(_SIGNS.get(character, character) for character in " ".join(text.split()))


def _line(cells: list[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _cell(content: Content) -> str:
    raised = _raised(*content.marks)
    if content.spread is None and not content.text.lstrip("+-").replace(".", "", 1).isdigit():
        text = _MINUS.sub("$-$", escaped(content.text))
        return (rf"\textbf{{{text}}}" if content.strong else text) + _aside(raised)
    inner = content.text if content.spread is None else rf"{content.text} \pm {content.spread}"
    return (f"$\\mathbf{{{inner}}}$" if content.strong else f"${inner}$") + _aside(raised)


def _aside(raised: str) -> str:
    """A mark that takes no room, so that the last digits of a column stand below each other."""
    return rf"\rlap{{${raised}$}}" if raised else ""


def _raised(*marks: Mark) -> str:
    signs = "".join(_RAISED.get(mark.symbol, rf"\mathrm{{{mark.symbol}}}") for mark in marks)
    return f"^{{{signs}}}" if signs else ""


_CLASS = ' class="number"'


class Html(Renderer):
    """<table class="ablation"> and <ul class="notes">, without style.

    A cell with a number has data-row, data-field, data-metric, and data-value: the text that stands in that row, column and metric of the
    CSV.
    """

    name, suffix = "html", ".html"

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
    return "".join(_html_cell(row, column, one, decides) for column, one in zip(columns, contents, strict=True))


def _html_cell(row: str, column: Column, content: Content, decides: str) -> str:
    if column.field == "label":
        return f'<th scope="row">{escape(content.text)}{"".join(map(_html_mark, content.marks))}</th>'
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
    return f"<td{_CLASS}{data}>{text}{''.join(map(_html_mark, content.marks))}</td>"


def _html_mark(mark: Mark) -> str:
    return f'<sup title="{escape(mark.meaning)}">{escape(mark.symbol)}</sup>'
