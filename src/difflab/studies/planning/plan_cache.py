"""Where the runs of a study are, as it was planned last: for those who look, and change nothing.

A plan follows from the command line, the study's file, conf/ and difflab's code, and from what the data and the feature extractor are. To
learn the last of these torch and Lightning are imported and the data opened, which takes seconds. Here the former are compared with
those of the last plan, and if they are the same the latter are believed to be so too: whoever changed the data sees the runs of the
old ones until something of the study is planned again.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import difflab
from difflab.config.paths import config_directories
from difflab.data.file_store import cache_directory
from difflab.files import WriteError, write_json
from difflab.reading import read_json
from difflab.runtime.foreign_code import file_stamp, file_stamps, foreign_code
from difflab.studies.planning.plan import Cell, Plan, Training
from difflab.studies.planning.request import Request

SHAPING = ("match", "solve")
"""Options on which the plan depends."""


@dataclass(frozen=True)
class KnownPlan:
    """Of a plan, what tells where its runs are.

    batches   row -> images of an optimizer step
    cited     see Plan
    """

    root: Path
    trainings: tuple[Training, ...]
    cells: tuple[Cell, ...]
    batches: Mapping[str, int]
    cited: tuple[str, ...]

    def training(self, cell: Cell) -> Training:
        return self.trainings[cell.training]

    def batch(self, row: str) -> int:
        return self.batches[row]


def remember(request: Request, overrides: Sequence[str], plan: Plan) -> None:
    """Keeps what `recall` gives back, if all of it is known."""
    if plan.lacking:
        return
    code = foreign_code(*(row.config for row in plan.rows.values()))
    content = {
        "of": _digest(request, overrides),
        "versions": dict(code.versions),
        "sources": {str(path): list(file_stamp(path)) for path in code.sources.values()},
        "root": str(plan.root),
        "trainings": [asdict(one) | {"parent": str(one.parent)} for one in plan.trainings],
        "cells": [asdict(cell) for cell in plan.cells],
        "batches": {row: plan.batch(row) for row in plan.rows},
        "cited": list(plan.cited),
    }
    with suppress(WriteError):  # it is planned again
        write_json(_file(request, overrides), content, indent=None)


def recall(request: Request, overrides: Sequence[str]) -> KnownPlan | None:
    """What was planned last by the same words in the same folder; None if it would be planned otherwise now."""
    try:
        content = read_json(_file(request, overrides), limit=2**28)
        if content["of"] != _digest(request, overrides) or _has_other_code(content):
            return None
        return KnownPlan(
            Path(content["root"]),
            tuple(
                Training(**one | {"parent": Path(one["parent"]), "overrides": tuple(one["overrides"])})
                for one in content["trainings"]
            ),
            tuple(Cell(**one | {"overrides": tuple(one["overrides"])}) for one in content["cells"]),
            content["batches"],
            tuple(content["cited"]),
        )
    except (OSError, ValueError, KeyError, TypeError, ImportError):
        return None


def _has_other_code(content: Mapping[str, Any]) -> bool:
    """Whether code of the user's own is another one than when this was planned."""
    versions = any(importlib.metadata.version(name) != version for name, version in content["versions"].items())
    return versions or any(list(file_stamp(path)) != found for path, found in content["sources"].items())


def _file(request: Request, overrides: Sequence[str]) -> Path:
    words = [os.getcwd(), str(request.file.resolve()), *_options(request), *overrides]
    return (
        cache_directory("plans")
        / f"{hashlib.sha256(json.dumps(words, allow_nan=False).encode()).hexdigest()[:16]}.json"
    )


def _options(request: Request) -> list[str]:
    return [f"{key}={request.options[key]}" for key in SHAPING if key in request.options]


def _digest(request: Request, overrides: Sequence[str]) -> str:
    """Of everything from which a plan follows but data and extractor."""
    digest = hashlib.sha256(
        json.dumps([sys.version, difflab.__version__, *_options(request), *overrides], allow_nan=False).encode()
    )
    digest.update(request.file.read_bytes())
    variables: set[str] = set()
    for folder in config_directories():
        for path in sorted(folder.rglob("*.yaml")):
            text = path.read_text(encoding="utf-8")
            variables |= set(re.findall(r"oc\.env:\s*(\w+)", text))
            digest.update(f"{path.relative_to(folder)} {text}".encode())
    values = {name: os.environ.get(name) for name in sorted({*variables, *_of_difflab()})}
    digest.update(json.dumps(values, allow_nan=False).encode())
    sources = sorted(Path(difflab.__file__).parent.rglob("*.py"))
    digest.update(repr((sources, file_stamps(sources))).encode())
    return digest.hexdigest()


def _of_difflab() -> Iterator[str]:
    return (name for name in os.environ if name.startswith("DIFFLAB_"))
