"""Seconds from a command to what one waits for, each in a process of its own, with the files in the machine's cache.

Nothing in difflab tells when its first step is done: the line of the log after step 1 (trainer.log_every_n_steps=1) arrives here, through a
pipe. Beside the commands stand imports alone: what no program can go below that needs these libraries.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contest import take_turns
from benchmarks.record import Measurement
from benchmarks.settings import Settings

ROOT = Path(__file__).parents[1]
ROUNDS = 5
"""At most: a process more or less tells little, and takes long."""

HELP_SECONDS, FIRST_STEP_SECONDS = 2.0, 15.0
"""What is aimed at."""

LIGHTNING = "import torch, pytorch_lightning"
IMPORTS = {
    "import torch": ("torch",),
    LIGHTNING: ("torch", "pytorch_lightning"),
    "import diffusers' DDPMPipeline": ("diffusers",),
}
"""Contender -> what has to be installed for it."""

STEPS = 2
FEW = (f"trainer.max_steps={STEPS}", "trainer.log_every_n_steps=1", "eval.num_samples=20", "sampler.grid.steps=2")
"""Of the training: the second step begins when the first has been logged; then little is left but to end."""


@dataclass(frozen=True)
class Start:
    """One start of the command.

    Attributes:
        first_step: Seconds from the start of the process to the line that tells of step 1.
        ending: Seconds from the last line that it wrote to its end.
        lines: That it wrote.
    """

    first_step: float
    ending: float
    lines: tuple[str, ...]


def measure(settings: Settings) -> Iterator[Measurement]:
    rounds, warm_up = min(settings.rounds, ROUNDS), settings.warm_up
    starts: list[Start] = []
    numbers = itertools.count()

    def first_step() -> float:
        starts.append(trained(settings, settings.scratch / f"runs-{next(numbers)}"))
        return starts[-1].first_step

    command = "train.py +experiment=cosine_adagn"
    contenders = {command: first_step}
    if not settings.quick:
        contenders[LIGHTNING] = importing(LIGHTNING)
    yield Measurement(
        bench="start",
        case="from the command to the end of the first optimizer step",
        unit="s",
        more_is_better=False,
        values=take_turns(contenders, rounds, warm_up),
        facts={command: {"goal_seconds": FIRST_STEP_SECONDS}},
    )
    yield Measurement(
        bench="start",
        case="from the last line of a training to the end of its process",
        unit="s",
        more_is_better=False,
        values={"train.py": [start.ending for start in starts[-rounds:]]},
    )
    (run,) = (settings.scratch / "runs-0").glob("*/*/config.yaml")
    yield Measurement(
        bench="start",
        case="from a command to its end",
        unit="s",
        more_is_better=False,
        values=take_turns(commands(settings, run.parent), rounds, warm_up),
        facts={name: {"goal_seconds": HELP_SECONDS} for name in ("train.py --help", "study.py --help")},
    )


def commands(settings: Settings, run: Path) -> dict[str, Callable[[], float]]:
    """Commands that end by themselves, and imports; `run` is a finished run."""
    study = ("study.py", "digits_like")
    root = f"run.root={settings.scratch / 'studies'}"
    found = {
        "train.py --help": ending_itself("train.py", "--help"),
        "study.py --help": ending_itself("study.py", "--help"),
        "difflab info": ending_itself("-m", "difflab", "info", str(run)),
    }
    if settings.quick:
        return found
    found["study.py plan"] = ending_itself(*study, "plan", root)
    found["study.py status"] = ending_itself(*study, "status", root)
    for name, packages in IMPORTS.items():
        if lacking := [package for package in packages if importlib.util.find_spec(package) is None]:
            print(f"start: without {name!r}: {', '.join(lacking)} is not installed", file=sys.stderr)
        else:
            found[name] = importing(name)
    return found


def importing(name: str) -> Callable[[], float]:
    code = "from diffusers import DDPMPipeline" if "diffusers" in name else name
    return ending_itself("-c", code)


def ending_itself(*arguments: str) -> Callable[[], float]:
    """A contender that runs `python <arguments>` to its end."""

    def turn() -> float:
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=_environment(), capture_output=True, encoding="utf-8"
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            raise RuntimeError(f"python {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}")
        return seconds

    return turn


def trained(settings: Settings, root: Path) -> Start:
    """A training of two steps in `root`, which later ones replace."""
    accelerator = "gpu" if settings.device.type == "cuda" else "cpu"
    overrides = ["+experiment=cosine_adagn", *FEW, f"trainer.accelerator={accelerator}", f"run.root={root}"]
    if settings.quick:
        overrides.append("network.width=16")
    start = watched(["train.py", *overrides], settings.scratch / "train.err")
    if root.name != "runs-0":  # of which there will be an `info`
        shutil.rmtree(root)
    return start


def watched(arguments: Sequence[str], errors: Path) -> Start:
    """Runs `python <arguments>` and takes the time at every line."""
    began = time.perf_counter()
    with (
        errors.open("w", encoding="utf-8") as stderr,
        subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=stderr,
            encoding="utf-8",
        ) as process,
    ):
        assert process.stdout is not None
        lines = [(time.perf_counter() - began, line) for line in process.stdout]
        process.wait()
        ended = time.perf_counter() - began
    after_first = [seconds for seconds, line in lines if line.startswith((f"step 1/{STEPS} ", f"step 1/{STEPS}:"))]
    if process.returncode or not after_first:
        raise RuntimeError(
            f"python {' '.join(arguments)} ended with {process.returncode} and told of no first step: "
            f"{errors.read_text(encoding='utf-8')[-2000:]}"
        )
    return Start(after_first[0], ended - lines[-1][0], tuple(line for _, line in lines))


def _environment() -> dict[str, str]:
    """Of a process whose lines arrive when they are written, and that speaks to no server."""
    return os.environ | {"PYTHONUNBUFFERED": "1", "WANDB_MODE": "offline"}
