"""Where a result came from."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import difflab
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
