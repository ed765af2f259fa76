"""Where a result came from."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import difflab

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


def provenance() -> dict[str, Any]:
    """Code, versions, hardware, directory and command of this process."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "directory": os.getcwd(),
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "difflab": difflab.__version__,
        "git": _git(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "host": platform.node(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def _git() -> dict[str, Any] | None:
    """Commit of the source tree that difflab was imported from and how it was changed since; None outside of one."""
    source = Path(difflab.__file__).parent

    def ask(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(source), *arguments], capture_output=True, encoding="utf-8", errors="replace", check=True
        ).stdout.strip()

    try:
        if not ask("ls-files", "__init__.py"):  # installed inside somebody else's repository
            return None
        changed = ask("status", "--porcelain").splitlines()
        return {"commit": ask("rev-parse", "HEAD"), "changed_files": changed, "diff": ask("diff", "HEAD")}
    except (OSError, subprocess.CalledProcessError):
        return None
