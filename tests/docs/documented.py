"""The commands that README.md, docs/ and the studies' READMEs tell a reader to type.

A fence without a language is what one types in a shell; one that is not says what it is: ```text, ```python, ```yaml. Short commands within
a sentence count where they are whole.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(path for path in ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "experiments").glob("*/README.md")),
]

SHELL = ("", "bash", "sh", "console", "shell")
"""Languages of fences whose lines are typed."""

PROGRAMS = (
    *("python", "python3", ".venv/bin/python", "difflab", "torchrun", "srun", "sbatch", "make", "pip", "wandb"),
    *("train.py", "sample.py", "evaluate.py", "study.py", "data.py", "edit.py"),
)
"""How a command within a sentence begins."""

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`(?!`)([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """A fence of a page.

    Attributes:
        page: The page, from the root of the tree.
        line: Where it begins.
        language: What the fence says of itself.
        text: What stands in it.
    """

    page: str
    line: int
    language: str
    text: str


@dataclass(frozen=True)
class Written:
    """A command of a page.

    Attributes:
        page: The page, from the root of the tree.
        line: Where it stands.
        words: As a shell divides it, without its comment.
        is_fenced: Whether it stands in a fence, and not in a sentence.
    """

    page: str
    line: int
    words: tuple[str, ...]
    is_fenced: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {' '.join(self.words)}"


def blocks() -> list[Block]:
    """All fences of all pages."""
    found = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(path.relative_to(ROOT).as_posix(), line, match["language"].strip(), match["body"]))
    return found


def fenced() -> Iterator[Written]:
    """What is to be typed, from fences; a line that ends in a backslash goes on in the next."""
    for block in blocks():
        if block.language not in SHELL:
            continue
        whole, begun = "", block.line + 1
        for number, line in enumerate(block.text.splitlines(), block.line + 1):
            begun = begun if whole else number
            whole += line.strip().removesuffix("\\")
            if line.rstrip().endswith("\\"):
                continue
            if words := tuple(shlex.split(whole, comments=True)):
                yield Written(block.page, begun, words, True)
            whole = ""


def in_sentences() -> Iterator[Written]:
    """Whole commands within sentences: what is abbreviated by dots, or is a program's name alone, is none."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        without = _FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
        for number, line in enumerate(without.splitlines(), 1):
            for match in _SPAN.finditer(line):
                span = match[1]
                if span.split(" ")[0] in PROGRAMS and " " in span and not re.search(r"\.\.\.|\||=$", span):
                    yield Written(path.relative_to(ROOT).as_posix(), number, tuple(shlex.split(span)), False)


def written() -> list[Written]:
    """All commands of all pages, one of each."""
    unlike = {one.words: one for one in (*in_sentences(), *fenced())}
    return sorted(unlike.values(), key=lambda one: (one.page, one.line))
