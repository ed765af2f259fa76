"""The plan of a study as it was made last, for all who look at its runs: `status`, `table`, `report`, `sync`.

A plan follows from the command line, the study's file, conf/ and difflab's code, and from what the data and the feature extractor are. To
make it every row is composed, its network built and counted, and the data opened, which takes seconds. So it is written down with what it
was made from; while all of that but the data is the same, it is believed to hold: whoever changed the data sees the runs of the old ones
until something of the study is planned again (`plan` and `launch` always do).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import difflab
from difflab.config.paths import config_directories
from difflab.data.file_store import cache_directory
from difflab.files import WriteError, write_json
from difflab.pages import Overlay, Plot
from difflab.reading import read_json
from difflab.reading.json import in_words, restored
from difflab.runtime.foreign_code import file_stamp, file_stamps, foreign_code
from difflab.studies.planning.plan import Cell, Facts, Plan, RowPlan, Training
from difflab.studies.spec import Study, load_study

LAUNCHER = "launcher"
"""Key of train.py that says where a run is executed."""


class Request(NamedTuple):
    """What a command line asks of a study.

    Attributes:
        study: The study as it was named.
        file: Its study.yaml.
        verb: What is to be done.
        flags: Words that begin with two hyphens.
        options: Values of difflab.cli.study.OPTIONS.
        overrides: Overrides of train.py.
    """

    study: str
    file: Path
    verb: str
    flags: frozenset[str]
    options: Mapping[str, str]
    overrides: tuple[str, ...]

    @property
    def launcher(self) -> list[str]:
        """The overrides that say where runs are executed, and not what they are."""
        return [one for one in self.overrides if one.lstrip("+").partition("=")[0].partition(".")[0] == LAUNCHER]

    @property
    def of_runs(self) -> list[str]:
        """The others."""
        return [one for one in self.overrides if one not in self.launcher]


SHAPING = ("match", "solve")
"""Options on which the plan depends."""


def remember(request: Request, overrides: Sequence[str], plan: Plan) -> None:
    """Writes the plan down, if its runs are known; a cache that cannot be written is no error, since planning takes seconds."""
    if plan.lacking:
        return
    code = foreign_code(*(row.config for row in plan.rows.values()))
    content = in_words(
        {
            "of": _origin(request, overrides),
            "versions": dict(code.versions),
            "sources": {str(path): list(file_stamp(path)) for path in code.sources.values()},
            "root": str(plan.root),
            "rows": {name: asdict(row) for name, row in plan.rows.items()},
            "trainings": [asdict(one) | {"parent": str(one.parent)} for one in plan.trainings],
            "trunks": [asdict(one) | {"parent": str(one.parent)} for one in plan.trunks],
            "cells": [asdict(cell) for cell in plan.cells],
            "unmeasured": plan.unmeasured,
            "noise": plan.noise and asdict(plan.noise),
        }
    )
    if _has_names_of_text(content):
        with suppress(WriteError):
            write_json(_file(request, overrides), content, indent=None)


def _has_names_of_text(content: Any) -> bool:
    """Whether JSON gives back what it is given: a name that is a number would come back as text."""
    if isinstance(content, Mapping):
        return all(isinstance(name, str) and _has_names_of_text(value) for name, value in content.items())
    return not isinstance(content, list) or all(map(_has_names_of_text, content))


def recall(request: Request, overrides: Sequence[str]) -> Plan | None:
    """What was planned last by the same words in the same folder; None if it would be planned otherwise now."""
    try:
        return _recalled(request, overrides)
    except _OutdatedError:
        return None


def current_plan(request: Request, overrides: Sequence[str]) -> Plan:
    """The plan that was made last; where it is none or no longer that of these words, one that is made now, which standard error says.

    Args:
        request: The command.
        overrides: Of train.py, without those of the launcher.

    Raises:
        StudyError: The study cannot be planned, or data are not at hand on which its runs depend.
    """
    try:
        return _recalled(request, overrides)
    except _OutdatedError as outdated:
        from difflab.studies.planning.planning import plan_runs  # with torch and all networks

        print(f"planning {load_study(request.file).name}: {outdated}", file=sys.stderr, flush=True)
        return plan_runs(request, overrides)


class _OutdatedError(Exception):
    """Why a plan is made anew."""


def _recalled(request: Request, overrides: Sequence[str]) -> Plan:
    file = _file(request, overrides)
    if not file.exists():
        raise _OutdatedError("no plan of it was made with these words in this folder yet")
    try:
        content = restored(read_json(file, limit=2**28))
        now = _origin(request, overrides)
        changed = [what for what in now if content["of"][what] != now[what]]
        if not changed and _has_other_code(content):
            changed = ["code of your own"]
        if not changed:
            return _plan(content, load_study(request.file))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise _OutdatedError("the plan that was kept cannot be read") from error
    raise _OutdatedError(f"changed since its last plan: {', '.join(changed)}")


def _plan(content: Mapping[str, Any], study: Study) -> Plan:
    return Plan(
        study=study,
        root=Path(content["root"]),
        rows={
            name: RowPlan(
                config=row["config"],
                facts=Facts(**row["facts"]),
                overrides=tuple(row["overrides"]),
                follows=tuple(row["follows"]),
                explains=tuple(row["explains"]),
                samples=row["samples"],
            )
            for name, row in content["rows"].items()
        },
        trainings=_trainings(content["trainings"]),
        cells=tuple(Cell(**one | {"overrides": tuple(one["overrides"])}) for one in content["cells"]),
        unmeasured=content["unmeasured"],
        trunks=_trainings(content["trunks"]),
        noise=content["noise"] and _overlay(content["noise"]),
    )


def _trainings(nodes: Sequence[Mapping[str, Any]]) -> tuple[Training, ...]:
    return tuple(
        Training(**{**one, "parent": Path(one["parent"]), "overrides": tuple(one["overrides"])}) for one in nodes
    )


def _overlay(node: Mapping[str, Any]) -> Overlay:
    return Overlay(tuple(Plot(**one) for one in node["plots"]), tuple(node["without"]), tuple(node["notes"]))


def _has_other_code(content: Mapping[str, Any]) -> bool:
    """Whether code of the user's own is another one than when this was planned."""
    versions = any(importlib.metadata.version(name) != version for name, version in content["versions"].items())
    return versions or any(list(file_stamp(path)) != found for path, found in content["sources"].items())


def _file(request: Request, overrides: Sequence[str]) -> Path:
    words = [os.getcwd(), str(request.file.resolve()), *_options(request), *overrides]
    digest = hashlib.sha256(json.dumps(words, allow_nan=False).encode()).hexdigest()[:16]
    return cache_directory("plans") / f"{digest}.json"


def _options(request: Request) -> list[str]:
    return [f"{key}={request.options[key]}" for key in SHAPING if key in request.options]


def _origin(request: Request, overrides: Sequence[str]) -> dict[str, str]:
    """What -> hash, of everything from which a plan follows but data, extractor and code of the user's own."""
    variables: set[str] = {name for name in os.environ if name.startswith("DIFFLAB_")}
    configuration = hashlib.sha256()
    for folder in config_directories():
        for path in sorted(folder.rglob("*.yaml")):
            text = path.read_text(encoding="utf-8")
            variables |= set(re.findall(r"oc\.env:\s*(\w+)", text))
            configuration.update(f"{path.relative_to(folder)} {text}".encode())
    sources = sorted(Path(difflab.__file__).parent.rglob("*.py"))
    return {
        "the study's file": hashlib.sha256(request.file.read_bytes()).hexdigest(),
        "the command's words": _digest([*_options(request), *overrides]),
        "conf/": configuration.hexdigest(),
        "variables of the environment": _digest({name: os.environ.get(name) for name in sorted(variables)}),
        "difflab or Python": _digest([sys.version, difflab.__version__, repr((sources, file_stamps(sources)))]),
    }


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, allow_nan=False).encode()).hexdigest()
