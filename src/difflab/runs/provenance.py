"""Where a result came from, and what has changed since a run was started."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import difflab
from difflab.runs.directory import RunDirectory
from difflab.runs.listing import identity_of
from difflab.runtime.foreign_code import ForeignCode

PACKAGES = (
    "torch",
    "torchvision",
    "pytorch-lightning",
    "hydra-core",
    "torchmetrics",
    "torch-fidelity",
    "wandb",
    "numpy",
)


def _version(package: str) -> str:
    """Of an installed package; "" for one that is missing, as W&B's may be."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


NUMERICS = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)
"""Variables of the environment on which the last bits of a result may depend."""

NO_CODE = ForeignCode({}, {})

SECRET = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)
"""Of a variable whose value is not written down."""


def provenance(code: ForeignCode = NO_CODE) -> dict[str, Any]:
    """Code, versions, hardware, directory and command of this process.

    Args:
        code: The user's own code that the configuration names, wherever in it.
    """
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "directory": os.getcwd(),
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "difflab": difflab.__version__,
        "git": _git(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "foreign_packages": foreign_packages(code),
        "environment": _environment({*NUMERICS, *code.variables()}),
        "host": platform.node(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def foreign_packages(code: ForeignCode) -> dict[str, Any]:
    """Package -> version, where it lies, the hashes of the modules that are used, and the state of its source tree.

    A package that an index has given is told by its version alone. None stands for a version that nobody has stated.
    """
    known = importlib.metadata.packages_distributions() if code.sources else {}
    found: dict[str, Any] = {name: {"version": version} for name, version in code.versions.items()}
    hashes = code.fingerprints()
    for top, folder in code.folders().items():
        names, file = known.get(top, []), code.sources.get(top)
        found[top] = {
            "version": importlib.metadata.version(names[0]) if names else None,
            "folder": str(folder.resolve()),
            "modules": {module: hashes[module] for module in code.sources if module.partition(".")[0] == top},
            "git": _git_of(file if file and file.stem != "__init__" else folder),
        }
    return found


def without_diffs(start: dict[str, Any]) -> dict[str, Any]:
    """What `provenance` says of a start, without the text of changes to source trees."""

    def brief(git: dict[str, Any] | None) -> dict[str, Any]:
        return {key: value for key, value in (git or {}).items() if key != "diff"}

    packages = {
        name: found | ({"git": brief(found["git"])} if "git" in found else {})
        for name, found in start["foreign_packages"].items()
    }
    return start | {"git": brief(start["git"]), "foreign_packages": packages}


def _environment(names: set[str]) -> dict[str, str | None]:
    """The variables that are set, a secret one as set alone."""
    values = {name: os.environ.get(name) for name in sorted(names)}
    return {name: "(set)" if SECRET.search(name) else value for name, value in values.items() if value is not None}


def _git() -> dict[str, Any] | None:
    """Commit of the source tree that difflab was imported from and how its code and conf/ were changed since; None outside of one."""
    source = Path(difflab.__file__).resolve().parent
    return _git_of(source, source.parents[1] / "conf", tracked="__init__.py")


def _git_of(*own: Path, tracked: str | None = None) -> dict[str, Any] | None:
    """Commit of the source tree to which files or folders belong and how they were changed since; None outside of one.

    Args:
        own: They, the first of which tells the tree. What is new in a folder counts, what lies beside them does not.
        tracked: A file in the first that must belong to the tree.
    """
    parts = [path.resolve() for path in own]
    place = parts[0] if parts[0].is_dir() else parts[0].parent

    def ask(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(place), *arguments], capture_output=True, encoding="utf-8", errors="replace", check=True
        ).stdout.strip()

    try:
        if tracked and not ask("ls-files", tracked):  # installed inside somebody else's repository
            return None
        top = Path(ask("rev-parse", "--show-toplevel")).resolve()
        inside = [f":(literal){path}" for path in parts if path.is_relative_to(top)]
        chosen = ["--", *inside, ":(exclude,glob,top)**/__pycache__/**"]
        changed = ask("status", "--porcelain", "--untracked-files=all", *chosen).splitlines()
        return {"commit": ask("rev-parse", "HEAD"), "changed_files": changed, "diff": ask("diff", "HEAD", *chosen)}
    except (OSError, subprocess.CalledProcessError):
        return None


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
