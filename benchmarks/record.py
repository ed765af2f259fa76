"""What a benchmark writes down: every single value, what it was measured on, and nothing that follows from them."""

from __future__ import annotations

import datetime
import json
import os
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FORMAT = 1
PACKAGES = (
    "difflab",
    "torch",
    "torchvision",
    "pytorch-lightning",
    "diffusers",
    "accelerate",
    "denoising-diffusion-pytorch",
    "k-diffusion",
    "torch-fidelity",
    "torchmetrics",
    "pytorch-fid",
    "clean-fid",
    "deepspeed",
)


@dataclass(frozen=True)
class Goal:
    """The ratio of two contenders' values, paired by round, that is aimed at.

    Attributes:
        contender: Names in `Measurement.values`.
        against: See `contender`.
        bound: Of contender's / against's: at least this where more is better, at most this where less is.
    """

    contender: str
    against: str
    bound: float


@dataclass(frozen=True)
class Measurement:
    """Values of one quantity by several contenders that took turns.

    bench     name of the benchmark: "training"
    case      what was done: "UNet 7.66 M, 32x32, batch 8, float32"
    unit      of the values: "images/s", "s", "MiB"
    more_is_better
    values    contender -> one value per round; round i of one contender was beside round i of every other
    baseline  the contender to whom the others are compared; None for a quantity that stands alone
    facts     contender -> what else is known of it: parameters, FLOPs
    goals     what is aimed at
    """

    bench: str
    case: str
    unit: str
    more_is_better: bool
    values: dict[str, list[float]]
    baseline: str | None = None
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    goals: tuple[Goal, ...] = ()

    def __post_init__(self) -> None:
        counts = {name: len(values) for name, values in self.values.items()}
        if len(set(counts.values())) != 1 or 0 in counts.values():
            raise ValueError(
                f"{self.bench}, {self.case}: contenders take turns, so all have equally many values: {counts}"
            )
        named = {self.baseline} - {None} | {name for goal in self.goals for name in (goal.contender, goal.against)}
        if strangers := named - set(self.values):
            raise ValueError(f"{self.bench}, {self.case}: no values of {', '.join(sorted(map(str, strangers)))}")


@dataclass(frozen=True)
class Record:
    """The measurements of one run of the benchmarks.

    Attributes:
        date: Of the run.
        command: That made it.
        machine: What it ran on.
        versions: Package -> version.
        load: Load average of the last minute at the start and the end.
    """

    date: str
    command: str
    machine: dict[str, Any]
    versions: dict[str, str]
    load: tuple[float, float]
    measurements: tuple[Measurement, ...]

    def write(self, path: Path) -> None:
        """As JSON, in place of what was there only when it is whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".part")
        new.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n", encoding="utf-8")
        new.replace(path)


def read(path: Path) -> Record:
    """A record as `Record.write` left it."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if fields.pop("format") != FORMAT:
            raise ValueError("another format")
        measurements = tuple(
            Measurement(**{**m, "goals": tuple(Goal(**goal) for goal in m["goals"])})
            for m in fields.pop("measurements")
        )
        return Record(**{**fields, "load": tuple(fields["load"]), "measurements": measurements})
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError, ValueError) as error:
        raise ValueError(f"{path} is not a result of `python -m benchmarks`: {error}") from error


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    import torch

    found: dict[str, Any] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "memory_GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }
    if torch.cuda.is_available():
        found |= {
            "gpu": torch.cuda.get_device_name(),
            "gpu_memory_GiB": round(torch.cuda.get_device_properties(0).total_memory / 2**30),
            "cuda": torch.version.cuda,
        }
    return found


def versions() -> dict[str, str]:
    """Of what takes part and is installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def today() -> str:
    return datetime.date.today().isoformat()


def _processor() -> str:
    for line in (
        Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    ):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
