"""The files of difflab as they are written."""

import ast
from functools import cache
from pathlib import Path

import difflab

ROOT = Path(difflab.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def name(path: Path) -> str:
    """A file as one calls it: below src/difflab."""
    return path.relative_to(ROOT).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
