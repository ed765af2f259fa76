"""The report of a study: one HTML page that holds everything it shows."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import difflab
from difflab.files import write_text
from difflab.studies.evidence import Evidence
from difflab.studies.execution.state import CellState
from difflab.studies.report import figure as wording
from difflab.studies.report.content import content
from difflab.studies.report.table import probability
from difflab.studies.report.table_text import full

STYLES = ("theme.css", "page.css", "grids.css")
SCRIPTS = ("page.js", "plots.js", "curves.js", "grids.js")
FILTERS = (
    *(wording.short, wording.si, wording.duration, wording.ratio, wording.difference),
    *(wording.outcomes, wording.plainly, wording.sentence, full, probability),
)
"""Of templates, by their names."""


def write_report(
    evidence: Evidence, states: Sequence[CellState], path: str | Path, written: date | None = None
) -> Path:
    """Writes the page, whole or not at all; where it is.

    states    of all cells of the study
    written   the date that the page bears; today's if None
    """
    path = Path(path)
    write_text(path, page(content(evidence, states), written or date.today()))
    return path


def page(shown: Mapping[str, Any], written: date) -> str:
    """The text of the page."""
    environment = Environment(
        loader=PackageLoader("difflab.studies.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {one.__name__: one for one in FILTERS}
    source = {name: _template(environment, name) for name in (*STYLES, *SCRIPTS, "theme.js")}
    scripts = {
        "theme": source["theme.js"],
        "page": "\n".join(source[name].replace('"use strict";\n', "") for name in SCRIPTS),
    }
    return environment.get_template("page.html.jinja").render(
        **shown,
        style="\n".join([*(source[name] for name in STYLES), shown["row_style"]]),
        scripts=scripts,
        policy=_policy(scripts),
        version=difflab.__version__,
        date=written.isoformat(),
    )


def _template(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _policy(scripts: Mapping[str, str]) -> str:
    """Nothing may be loaded, and no script runs but ours, which are known by their hashes."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts.values()]
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )
