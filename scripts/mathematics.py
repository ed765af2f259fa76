"""Equations of the pages, ```math in LaTeX as GitHub renders it, for the site: MathML, which browsers set by themselves.

mkdocs.yml names `fenced`. So the site needs no script and no other host.
"""

from __future__ import annotations

from typing import Any

from latex2mathml.converter import convert


def fenced(source: str, language: str, css_class: str, options: dict[str, Any], md: Any, **kwargs: Any) -> str:
    """What a fence of pymdownx.superfences becomes; it is scrolled where it is wider than the page.

    Raises:
        ValueError: LaTeX that latex2mathml does not know, which it would leave as it is.
    """
    mathml = convert(source.strip(), display="block")
    if "\\" in mathml:
        raise ValueError(f"latex2mathml does not know a command of this equation: {source.strip()}")
    return f'<div class="{css_class}" tabindex="0">{mathml}</div>'
