"""The API reference: a page for each package and each module at the top of difflab, which opens with a table of what is in it.

Nothing is listed by hand: a package's public names are its `__all__`, what a user types is what conf/ calls by `_target_`, and the paper is
the one that the docstring cites. scripts/site_pages.py writes the pages when `make docs` builds the site.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import pydoc
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from scripts.write_pages import choice_files

import difflab

SOURCE = Path(difflab.__file__).parent
_AUTHORS = r"(?<![A-Za-z])[A-Z][a-z]+[\w-]*(?: et al\.| and [A-Z][\w-]+)?"
_PLACE = r"(?:eq\.?|equation|algorithm|appendix|section|table) [\w.]+(?:(?:,| and) \d+)*"
_PAPER = re.compile(rf"({_AUTHORS},? (?:19|20)\d\d(?!\d)(?:, {_PLACE})*)")


@dataclass(frozen=True)
class Row:
    """A line of a package's table.

    Attributes:
        name: Of the class or function.
        path: Where it is defined, dotted.
        choices: What chooses it on the command line, as "sampler=ddim".
        papers: That it cites, as "Song et al. 2021, eq. 12".
        file: Below src/difflab.
    """

    name: str
    path: str
    choices: tuple[str, ...]
    papers: tuple[str, ...]
    file: str


def modules() -> Iterator[ModuleType]:
    """Every package, and the modules that lie beside the packages."""
    for info in pkgutil.walk_packages([str(SOURCE)], "difflab."):
        is_public = not any(part.startswith("_") for part in info.name.split("."))
        if is_public and (info.ispkg or info.name.count(".") == 1):
            yield importlib.import_module(info.name)


def rows(module: ModuleType) -> list[Row]:
    """What is in a package: its public classes and functions, and whatever else of it conf/ names. First what can be chosen."""
    found = {_path(part): part for part in _public(module)}
    for part in targets():
        if _owner(part) == module.__name__:
            found.setdefault(_path(part), part)
    return sorted(map(_row, found.values()), key=lambda row: not row.choices)


def table(module: ModuleType) -> str:
    """The table in Markdown. Columns that say nothing of any row are left out; files of a package are named within its folder."""
    found = rows(module)
    if not found:
        return ""
    folder = f"{module.__name__.partition('.')[2].replace('.', '/')}/" if hasattr(module, "__path__") else ""
    columns = {
        "class or function": [f"[`{row.name}`][{row.path}]" for row in found],
        "in conf/": [", ".join(f"`{choice}`" for choice in row.choices) for row in found],
        "paper": ["; ".join(row.papers) for row in found],
        f"file in {folder}" if folder else "file": [f"`{row.file.removeprefix(folder)}`" for row in found],
    }
    shown = {head: cells for head, cells in columns.items() if any(cells)}
    lines = [list(shown), ["---"] * len(shown), *map(list, zip(*shown.values(), strict=True))]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page(module: ModuleType) -> str:
    """The page of a package or module: what it is, the table, and the entry of each of its rows."""
    about = f"::: {module.__name__}\n    options:\n      members: false\n      show_root_heading: false"
    entries = [f"::: {row.path}" for row in rows(module)]
    return "\n\n".join([f"# {module.__name__}", about, table(module), *entries]) + "\n"


def overview(pages: list[ModuleType]) -> str:
    """The page that leads to the others: each with the first sentence about it."""
    lines = [
        f"| [`{module.__name__}`]({module.__name__}.md) | {_first_line(module)} | {len(targets_of(module)) or ''} |"
        for module in pages
    ]
    return "\n".join(["# Reference", "", "| package or module | | choices in conf/ |", "|---|---|---|", *lines, ""])


def targets_of(module: ModuleType) -> set[str]:
    """The choices of conf/ that name something of a package."""
    return {choice for row in rows(module) for choice in row.choices}


def _first_line(module: ModuleType) -> str:
    return (inspect.getdoc(module) or "").partition("\n")[0].replace("|", "\\|")


@cache
def targets() -> dict[Any, list[str]]:
    """What files of conf/ call by `_target_`, with the choices that do. Only difflab's own."""
    found: dict[Any, list[str]] = {}
    for choice, file in choice_files():
        for target in _named(yaml.safe_load(file.read_text(encoding="utf-8"))):
            if target.startswith("difflab."):
                found.setdefault(_located(target), []).append(choice)
    return {part: sorted(set(choices)) for part, choices in found.items()}


def _named(node: Any) -> Iterator[str]:
    """The `_target_`s in a file, however deep."""
    if isinstance(node, dict):
        if isinstance(target := node.get("_target_"), str):
            yield target
        for value in node.values():
            yield from _named(value)
    elif isinstance(node, list):
        for value in node:
            yield from _named(value)


def _located(target: str) -> Any:
    """The class or function that a `_target_` names; of a class method the class."""
    part = pydoc.locate(target, forceload=False)
    if part is None:
        raise ValueError(f"conf/ names {target}, which there is not")
    return part.__self__ if inspect.ismethod(part) else part


def _public(module: ModuleType) -> list[Any]:
    """The classes and functions of difflab that a module offers."""
    if (listed := getattr(module, "__all__", None)) is not None:
        parts = [getattr(module, name) for name in listed]
    else:
        insides = [module, *_modules_of(module)]
        parts = [
            p for one in insides for n, p in vars(one).items() if not n.startswith("_") and _module(p) == one.__name__
        ]
    return [
        part
        for part in parts
        if (inspect.isclass(part) or inspect.isfunction(part)) and _owner(part) == module.__name__
    ]


def _modules_of(package: ModuleType) -> list[ModuleType]:
    paths = getattr(package, "__path__", [])
    return [
        importlib.import_module(f"{package.__name__}.{i.name}")
        for i in pkgutil.iter_modules(paths)
        if not i.ispkg and i.name != "__main__"
    ]


def _owner(part: Any) -> str:
    """On whose page a part is: of the package that its module lies in, or of its module where that lies beside the packages."""
    module = _module(part)
    parent = module.rpartition(".")[0]
    return module if parent == "difflab" or hasattr(importlib.import_module(module), "__path__") else parent


def _module(part: Any) -> str:
    return getattr(part, "__module__", None) or ""


def _path(part: Any) -> str:
    return f"{part.__module__}.{part.__qualname__}"


def _row(part: Any) -> Row:
    file = Path(sys.modules[part.__module__].__file__ or "").relative_to(SOURCE)
    text = " ".join((part.__doc__ or "").split())
    papers = tuple(dict.fromkeys(match.strip().rstrip(".,") for match in _PAPER.findall(text)))
    return Row(part.__name__, _path(part), tuple(targets().get(part, ())), papers, file.as_posix())
