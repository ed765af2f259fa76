"""How many files of difflab run on three journeys: to the first optimizer step, from a checkpoint to its FID, from a study to its report.

    python -m benchmarks journeys train|evaluate|report

A file of Python counts when one of its functions ran, as `sys.setprofile` tells. Bodies of modules and classes, lambdas and comprehensions
do not count: importing a file is not reading it. Nor do the templates of the report's page, which are HTML and no step of the way. A person
who follows the journey with a debugger walks through these files.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[1]
SOURCE = str(ROOT / "src" / "difflab") + os.sep

TINY = (
    "+experiment=cosine_adagn",
    "network.width=16",
    "schedule.steps=20",
    "sampler.grid.steps=4",
    "data.batch_size=16",
    "trainer.accelerator=cpu",
    "trainer.max_steps=2",
    "eval.num_samples=20",
    "eval.grid=10",
    "logger=none",
)
"""A run of seconds, from which the second journey begins."""


def counted(journey: str, scratch: Path) -> dict[str, list[str]]:
    """Takes a journey in a process of its own.

    Args:
        journey: A key of `JOURNEYS`.
        scratch: An empty folder for its runs.

    Returns:
        File below src/difflab -> names of its functions that ran.

    Raises:
        RuntimeError: The command failed.
    """
    out = scratch / "files.json"
    _run(["-m", "benchmarks.journeys", "--trace", str(out), *JOURNEYS[journey](scratch)])
    return json.loads(out.read_text(encoding="utf-8"))


def to_first_step(scratch: Path) -> list[str]:
    """The words of a training; tracing ends it after its first step."""
    return ["train", "+experiment=cosine_adagn", "trainer.accelerator=cpu", f"run.root={scratch / 'runs'}"]


def to_fid(scratch: Path) -> list[str]:
    """The words of an evaluation of a run that is trained here."""
    _run(["train.py", *TINY, f"run.root={scratch / 'runs'}"])
    (complete,) = (scratch / "runs").glob("*/*/complete.json")
    return ["evaluate", f"checkpoint={complete.parent}", "num_samples=20", "accelerator=cpu"]


def to_report(scratch: Path) -> list[str]:
    """The words of a report on a study of two rows and two seeds, whose runs are made up."""
    import yaml

    from benchmarks.studies import finish, study
    from difflab.studies import load_study
    from difflab.studies.planning.planning import plan_study

    file, runs = scratch / "two" / "study.yaml", f"run.root={scratch / 'runs'}"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(study(2, 2), sort_keys=False), encoding="utf-8")
    finish(plan_study(load_study(file), [runs], None, "network.width"), 8)
    _run(["study.py", str(file), "plan", runs])  # the plan by which a report goes
    return ["study", str(file), "report", runs, f"out={scratch / 'report.html'}"]


JOURNEYS: Mapping[str, Callable[[Path], list[str]]] = {
    "train": to_first_step,
    "evaluate": to_fid,
    "report": to_report,
}
"""Journey -> what prepares it in an empty folder and returns the command's words."""


def _run(arguments: Sequence[str]) -> None:
    environment = os.environ | {"WANDB_MODE": "offline", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, encoding="utf-8"
    )
    if done.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}")


def _trace(out: Path, words: Sequence[str]) -> None:
    """Runs a command of difflab in this process and writes which functions ran."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    ran: dict[str, set[str]] = {}

    def note(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(SOURCE) or not code.co_filename.endswith(".py"):
            return
        if code.co_flags & inspect.CO_OPTIMIZED and not code.co_name.startswith("<"):
            ran.setdefault(code.co_filename.removeprefix(SOURCE), set()).add(code.co_qualname)

    def finish(*_: Any) -> None:
        sys.setprofile(None)
        out.write_text(json.dumps({file: sorted(ran[file]) for file in sorted(ran)}), encoding="utf-8")
        os._exit(0)  # the journey is over: whatever else the command would do takes time

    register_optimizer_step_post_hook(finish)
    sys.argv = [f"{words[0]}.py", *words[1:]]
    sys.setprofile(note)
    try:
        from difflab.cli.main import program

        program(words[0])
    except SystemExit as end:
        if end.code:
            raise
    finish()


def main(arguments: Sequence[str]) -> None:
    """Prints a journey's files, by room."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks journeys", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("journey", choices=list(JOURNEYS))
    chosen = parser.parse_args(arguments).journey
    with tempfile.TemporaryDirectory() as scratch:
        files = counted(chosen, Path(scratch))
    for file, functions in files.items():
        print(f"{file}  {', '.join(functions)}")
    rooms = Counter(file.partition("/")[0] for file in files)
    print(
        f"{len(files)} files, {sum(map(len, files.values()))} functions: {', '.join(f'{r} {n}' for r, n in rooms.most_common())}"
    )


if __name__ == "__main__":
    if sys.argv[1] != "--trace":
        sys.exit("use: python -m benchmarks journeys train|evaluate|report")
    _trace(Path(sys.argv[2]), sys.argv[3:])
