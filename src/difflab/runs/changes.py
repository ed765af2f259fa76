"""What has changed since a run was started: what its command does not show, and what a person has to be told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from difflab.runs.directory import RunDirectory
from difflab.runs.names import identity_of
from difflab.runtime.foreign_code import ForeignCode

CONTENT = ("sha256", "fingerprint")
"""How those fields of a protocol are called that stand for the content of a file."""


def new_code(directory: Path, configuration: str, code: ForeignCode) -> str | None:
    """Why a run that is about to begin is a new one, though its command has been run before: the user's code is another one.

    None if there is no such earlier run.

    Args:
        directory: Of the run that begins.
        configuration: The identity that the run would have without code of the user's own.
        code: That code as it is now.
    """
    if RunDirectory(directory).starts() or not code.fingerprints() or not directory.parent.is_dir():
        return None
    found = []
    for path in directory.parent.iterdir():
        starts = RunDirectory(path).starts()
        if starts and configuration in (starts[-1].get("configuration"), identity_of(path)):
            found.append((starts[-1].get("started", ""), path, starts[-1]))
    if not found:
        return None
    _, path, start = max(found, key=lambda one: one[0])
    status, here = RunDirectory(path).status(), f"this is a new run, {directory}"
    if "foreign_packages" not in start:
        names = ", ".join(code.fingerprints())
        return f"{path} ({status}) was trained by a difflab that did not yet record the code of {names}: {here}"
    return f"the code of {', '.join(changed_code(start, code))} has changed since {path} ({status}) was trained: {here}"


def changed_code(start: Mapping[str, Any], code: ForeignCode) -> list[str]:
    """The modules and packages whose code is another one than at a start of a run; none where that was not recorded.

    Args:
        start: What provenance.json says of it.
        code: As it is now.
    """
    before, now = recorded_code(start), code.fingerprints()
    if before is None:
        return []
    return [name for name in now if before.get(name) != now[name]] or sorted(before.keys() - now.keys())


def recorded_code(start: Mapping[str, Any]) -> dict[str, str] | None:
    """Module -> hash, package -> version of the user's own code at a start of a run; None where that was not recorded."""
    if "foreign_packages" not in start:
        return None
    found: dict[str, str] = {}
    for name, package in start["foreign_packages"].items():
        found |= package.get("modules") or {name: package.get("version")}
    return found


def changes(run: RunDirectory, code: ForeignCode, protocols: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Sentences about what is another one than at a run's last start and is no part of its identity.

    Args:
        run: Begun earlier.
        code: The user's own code as it is now.
        protocols: Score -> fields, as they would be written now.
    """
    told = []
    if changed := changed_environment(run, code):
        told.append(f"the code reads variables of the environment that have changed since: {', '.join(changed)}")
    if changed := changed_content(run, protocols):
        told.append(f"the scores were measured with another content of what {', '.join(changed)} stands for now")
    return told


def changed_environment(run: RunDirectory, code: ForeignCode) -> list[str]:
    """NAME (before, now) of variables that the user's code reads and that were others at the last start."""
    starts = run.starts()
    before = starts[-1].get("environment") if starts else None
    if before is None:
        return []
    pairs = {name: (before.get(name), os.environ.get(name)) for name in code.variables()}
    return [
        f"{name} ({_shown(was)}, now {_shown(now)})"
        for name, (was, now) in pairs.items()
        if was not in (now, "(set)") or (was == "(set)" and now is None)
    ]


def changed_content(run: RunDirectory, protocols: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Fields of the scores' protocols that stand for a file's content, as the weights of a classifier that guides, and are others now.

    Args:
        run: Begun earlier.
        protocols: Score -> fields, as they would be written now.
    """
    before = run.protocols()
    return sorted(
        {
            field
            for score, fields in protocols.items()
            for field, value in fields.items()
            if "." in field and field.endswith(CONTENT) and before.get(score, {}).get(field, value) != value
        }
    )


def _shown(value: str | None) -> str:
    return "not set" if value is None else repr(value)
