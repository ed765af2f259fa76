"""One HTML page from a package's templates: all styles, scripts and pictures lie in it, and a browser may load nothing else.

A page's own template extends layout.html.jinja, whose blocks are title, header and footer; each of its `sections`, (id, title), is
section_<id>.html.jinja. parts.html.jinja has what sections need: plots, tables that scroll, swatches.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

import difflab

STYLES = ("theme.css", "page.css")
SCRIPTS = ("page.js", "plots.js")


def render(
    package: str,
    template: str,
    shown: Mapping[str, Any],
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    filters: Sequence[Callable[..., str]] = (),
    written: date | None = None,
) -> str:
    """The text of a page.

    Args:
        package: In whose folder `templates` its own ones lie.
        template: Of the page.
        shown: What the templates ask for; `row_style`, where there is one, is put behind the styles.
        styles: Files of its own, after those that all pages have.
        scripts: Likewise.
        filters: Of its templates, by their names.
        written: The date that it bears; today's if None.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, "templates"), PackageLoader("difflab.pages", "templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {one.__name__: one for one in filters}
    sources = {name: _source(environment, name) for name in (*STYLES, *styles, *SCRIPTS, *scripts, "theme.js")}
    code = {
        "theme": sources["theme.js"],
        "page": "\n".join(sources[name].replace('"use strict";\n', "") for name in (*SCRIPTS, *scripts)),
    }
    return environment.get_template(template).render(
        **{key: value for key, value in shown.items() if key != "row_style"},
        style="\n".join([*(sources[name] for name in (*STYLES, *styles)), shown.get("row_style", "")]),
        scripts=code,
        policy=_policy(code),
        version=difflab.__version__,
        date=(written or date.today()).isoformat(),
    )


def _source(environment: Environment, name: str) -> str:
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
