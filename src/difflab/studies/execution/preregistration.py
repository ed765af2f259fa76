"""What a study fixed before its first result, what was changed afterwards, and how often its results were looked at.

A verdict's level holds for a question that was there before the answer. A look after each seed, with the right to stop, makes an error of
5 % one of 16 to 23 %; the deciding metric chosen among four when all are known, one of 20 %; twelve studies of one row each, one of 36 % in
all (docs/statistics.md). None of this can be seen in the numbers, hence it is written down as it happens, in
<plan.root>/_study/preregistration.json, and told below every table.

Until the first result is there the study may be changed freely. A look counts if the results are not those of the last look.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from difflab.files import write_json
from difflab.reading import read_json
from difflab.studies.execution.folder import StudyFolder, now
from difflab.studies.planning.plan import Plan

ORDINALS = ("First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth", "Tenth")

MORE_SEEDS = "seeds that are added after a look make errors more frequent than alpha"

NAMED = 6
"""So many related studies are named at most."""


def preregister(plan: Plan) -> None:
    """Records what the study fixes; to be called before it is launched."""
    folder = StudyFolder(plan.root.resolve())
    with folder.writing():
        _write(folder, _updated(_read(folder), plan))


def namesake(plan: Plan) -> str | None:
    """Another study's file that this study shares name and folder of runs with, in a sentence; None where there is none."""
    try:
        file = Path(_read(StudyFolder(plan.root.resolve())).get("file") or "")
    except (OSError, ValueError):
        return None
    mine = plan.study.file
    if mine is None or not file.is_file() or file.samefile(mine) or file.read_bytes() == mine.read_bytes():
        return None
    shared = plan.root.resolve()
    return f"{mine} and {file} are two studies named {plan.study.name}, and share {shared}: give one of them a `name` of its own"


def look(plan: Plan, related: bool = True) -> tuple[str, ...]:
    """Records a look at the results, and says what a reader has to know.

    That is how many looks there were, what was changed after the first result, and which other studies ask the same baseline. A disk that
    cannot be written is said, and stops nothing.

    Args:
        plan: Of the study.
        related: Whether other studies are named.
    """
    folder = StudyFolder(plan.root.resolve())
    try:
        shared = [f"{one}." for one in (namesake(plan),) if one]
        with folder.writing():
            record = _looked(_updated(_read(folder), plan), plan.root)
            _write(folder, record)
        others = _related(plan, record) if related else []
        return (*shared, *_looks(record), *_changes(record), *others)
    except (OSError, NotImplementedError, ValueError, KeyError, TypeError) as error:
        return (f"Looks at this study are not counted: {' '.join(str(error).split())}.",)


def look_at_runs(runs: Iterable[Path]) -> tuple[str, ...]:
    """The same for runs that are looked at by themselves: each study that they belong to counts a look."""
    said: list[str] = []
    for root in dict.fromkeys(run.resolve().parent.parent for run in runs):
        folder = StudyFolder(root)
        if not folder.preregistration.exists():
            continue
        try:
            with folder.writing():
                record = _looked(_read(folder), root)
                _write(folder, record)
            said += [f"{root.name}: {line}" for line in (*_looks(record), *_changes(record))]
        except (OSError, NotImplementedError, ValueError, KeyError, TypeError) as error:
            said.append(f"{root.name}: looks are not counted: {' '.join(str(error).split())}.")
    return tuple(said)


def _updated(before: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """The record, with what has been changed since."""
    study, root = plan.study, plan.root.resolve()
    cells = [Path(os.path.relpath(plan.results(cell), plan.root)).as_posix() for cell in plan.cells]
    fixed = {
        "decides": study.evaluation.decides,
        "margins": {metric: str(margin) for metric, margin in study.margins.items()},
        "alpha": study.alpha,
        "baseline": study.baseline,
        "rows": list(study.rows),
        "seeds": list(study.seeds),
    }
    results = len(_there(root, {*before.get("cells", ()), *cells}))
    changes, known = list(before.get("changes", ())), before.get("fixed")
    looks = len(before.get("looks", ()))
    if known is not None and results:
        changes += [
            {
                "key": key,
                "before": known.get(key),
                "after": fixed[key],
                "when": now(),
                "results": results,
                "looks": looks,
            }
            for key in fixed
            if known.get(key) != fixed[key]
        ]
    first = {"registered": now(), "results": results} if known is None or not results else {}
    return {
        **before,
        **first,
        "fixed": fixed,
        "experiment": study.rows[study.baseline].experiment,
        "file": None if study.file is None else str(study.file),
        "cells": cells,
        "changes": changes,
        "looks": list(before.get("looks", ())),
    }


def _looked(record: dict[str, Any], root: Path) -> dict[str, Any]:
    """The record with one look more, if there are other results than at the last one."""
    there = sorted(_there(root.resolve(), record["cells"]))
    digest = hashlib.sha256("\n".join(there).encode()).hexdigest()[:16]
    looks = record["looks"]
    if not there or (looks and looks[-1]["of"] == digest):
        return record
    return {**record, "looks": [*looks, {"when": now(), "results": len(there), "of": digest}]}


def _looks(record: Mapping[str, Any]) -> list[str]:
    count = len(record["looks"])
    if not count:
        return []
    ordinal = ORDINALS[count - 1] if count <= len(ORDINALS) else f"{count}th"
    said = [f"{ordinal} look at this study: a look counts where results have come since the one before."]
    if record["results"]:
        shared = sum(cell.startswith("../") for cell in record["cells"])  # it lies with another study of the family
        whose = ", of trainings that the family shares" if record["results"] <= shared else ""
        said.append(
            f"What decides was first recorded on {_day(record['registered'])}, when {_results(record['results'])} there already{whose}."
        )
    return said


def _changes(record: Mapping[str, Any]) -> list[str]:
    said = []
    for one in record["changes"]:
        looks = one.get(
            "looks", sum(look["when"] < one["when"] for look in record["looks"])
        )  # earlier versions did not count
        added = one["key"] == "seeds" and set(one["after"]) - set(one["before"] or ())
        more = f"; {MORE_SEEDS}" if added and looks else ""
        said.append(
            f"{one['key']} was {_told(one['before'])} until {_results(one['results'])} there, and is {_told(one['after'])} since "
            f"{_day(one['when'])}{more}."
        )
    return said


def _related(plan: Plan, record: Mapping[str, Any]) -> list[str]:
    """Studies beside this one with results, the same baseline and the same deciding metric."""
    root = plan.root.resolve()
    found: dict[str, float] = {root.name: record["fixed"]["alpha"]}
    for file in sorted(root.parent.glob("*/_study/preregistration.json")):
        folder = file.parent.parent
        try:
            other = read_json(file)
            same = (
                other["experiment"] == record["experiment"] and other["fixed"]["decides"] == record["fixed"]["decides"]
            )
            if folder != root and same and any((folder / cell).exists() for cell in other["cells"]):
                found[folder.name] = float(other["fixed"]["alpha"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    if len(found) == 1:
        return []
    chance, levels = 1 - math.prod(1 - alpha for alpha in found.values()), set(found.values())
    formula = f"1 - {1 - min(levels):g}^{len(found)} = " if len(levels) == 1 else ""
    others = [name for name in found if name != root.name]
    named = ", ".join(others[:NAMED]) + (f" and {len(others) - NAMED} more" if len(others) > NAMED else "")
    return [
        f"One of {len(found)} studies whose baseline is {record['experiment']} and which {record['fixed']['decides']} decides (the others: "
        f"{named}): over all of them the chance of at least one false difference is up to {formula}{100 * chance:.0f} %."
    ]


def _there(root: Path, cells: Iterable[str]) -> list[str]:
    return [cell for cell in cells if (root / cell).exists()]


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {one}" for key, one in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return "none" if value is None else str(value)


def _results(count: int) -> str:
    return "1 result was" if count == 1 else f"{count} results were"


def _day(when: str) -> str:
    return when[:10]


def _read(folder: StudyFolder) -> dict[str, Any]:
    return read_json(folder.preregistration) if folder.preregistration.exists() else {}


def _write(folder: StudyFolder, record: Mapping[str, Any]) -> None:
    write_json(folder.preregistration, record)
