"""Packages that import what they list when somebody asks for it.

Most of a start is imports: torch takes two seconds, Lightning as long again. The index of a package, its `__init__`, would bring all of
that to whoever wants one plain file of it. Instead

    if TYPE_CHECKING:
        from difflab.runs.identity import identity

    __all__ = ["identity"]
    on_demand(__name__)

lists for people and type checkers as ever, and `from difflab.runs import identity` then imports difflab.runs.identity alone.

`lazy_loader`, the library for this, is not used: its `attach_stub` reads the list from a second file beside each `__init__`, a `.pyi`, and
its `attach` from a mapping that type checkers do not see, to be repeated for them. Under both, a function that bears the name of its
module, as `identity` here, is hidden by the module once that is imported.
"""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


class _Index(ModuleType):
    """A package that knows in which of its modules each name is."""

    _places: dict[str, str]

    def __getattr__(self, name: str) -> Any:
        if name not in self._places:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(self._places[name]), name)
        super().__setattr__(name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        # Python makes a module, once imported, an attribute of its package: not where the index lists a function of that name
        if not (isinstance(value, ModuleType) and name in self._places):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._places})


def on_demand(package: str) -> None:
    """Has a package import what its `if TYPE_CHECKING:` lists when it is asked for."""
    module = sys.modules[package]
    assert module.__file__ is not None
    places: dict[str, str] = {}
    for block in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for node in block.body:
                if isinstance(node, ast.ImportFrom) and node.module:
                    places |= {alias.name: node.module for alias in node.names}
    module.__dict__["_places"] = places
    module.__class__ = _Index
