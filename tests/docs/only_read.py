"""Commands of the pages that the tests only read, each for something that is lacking here."""

from __future__ import annotations

import importlib.util
import re
import socket
from collections.abc import Callable
from pathlib import Path

import torch
from documented import ROOT, Written


def makefile_has(target: str) -> bool:
    return bool(
        re.search(
            rf"^(?:[\w -]+ )?{re.escape(target)}(?: [\w -]+)?:",
            (ROOT / "Makefile").read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    )


def _lacks_tensorboard() -> bool:
    return not any(importlib.util.find_spec(name) for name in ("tensorboard", "tensorboardX"))


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def _is_nobody() -> bool:
    """Whether this is the tests' own home, which holds no login, no cache and no weights."""
    return Path.home().name.startswith("nobody-")


ELSEWHERE: list[tuple[str, str, Callable[[], bool]]] = [
    (
        r"^make (dev|train|test|check|bench|chaos|setup)",
        "sets up an environment of its own",
        lambda: makefile_has("setup"),
    ),
    (
        r"^make cluster|^\. \$\(slurm|^slurm/cluster",
        "installs SLURM as root",
        lambda: (ROOT / "slurm/cluster/cluster.py").is_file(),
    ),
    (r"^(python -m )?pip install|weights fetch|hub:|data=huggingface", "is fetched from a network", _is_nobody),
    (r"wandb (login|sync)|study.py \w+ sync|mode=online", "needs an account of W&B", _is_nobody),
    (r"(openai|dit):", "released weights of gigabytes", lambda: not list(Path.cwd().rglob("*_diffusion.pt"))),
    (
        r"data=(cifar10|imagenet)|samples=cifar10|experiment=fashion_mnist",
        "data that are downloaded",
        lambda: not Path("data").exists(),
    ),
    (r"extractor=inception", "Inception's weights", _is_nobody),
    (r"logger=mlflow", "needs a server of MLflow", lambda: not _listens(5000)),
    (r"logger=(many|tensorboard)", "TensorBoard, which is not installed", _lacks_tensorboard),
    (
        r"hydra/launcher=slurm|^srun |^sbatch |--nnodes",
        "needs several machines, with tests of its own",
        lambda: (ROOT / "slurm/cluster/cluster.py").is_file(),
    ),
    (r"compute=compiled", "compiles for a GPU", lambda: not torch.cuda.is_available()),
    (
        r"benchmarks|scripts\.chaos",
        "measures for minutes, with tests of its own",
        lambda: (ROOT / "tests/benchmarks").is_dir(),
    ),
]
"""What cannot be run by the tests, as (pattern of the command, why, whether that is still so): such commands are read, and no more."""


def elsewhere(command: Written) -> str:
    """Why it cannot be run here; empty if it can."""
    line = " ".join(command.words)
    return next((why for pattern, why, holds in ELSEWHERE if re.search(pattern, line) and holds()), "")
