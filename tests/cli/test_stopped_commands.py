"""Real commands that are told to stop: with W&B, with data workers, in a folder with a space."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from difflab.runtime.signals import STARTING

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]

TRAIN = (
    "+experiment=cosine_adagn",
    "network.width=32",
    "trainer.max_steps=6",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "eval.every=6",
    "eval.num_samples=16",
    "sampler.grid.steps=4",
    "data.num_workers=1",
    "data.batch_size=16",
    "checkpoint.every=3",
)

Until = Callable[[subprocess.Popen[bytes], Path], bool]
"""(process, what it has said so far) -> whether the moment has come."""


def has_begun(process: subprocess.Popen[bytes], said: Path) -> bool:
    """Whether it has done anything at all: SIGTERM is withheld or answered."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    masks = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigBlk", "SigCgt"))]
    return any(mask >> (signal.SIGTERM - 1) & 1 for mask in masks)


def imports_torch(process: subprocess.Popen[bytes], said: Path) -> bool:
    with contextlib.suppress(OSError):
        return "libtorch" in Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")
    return False


def has_said(text: str) -> Until:
    return lambda process, said: text in said.read_text(encoding="utf-8", errors="replace")


def after(seconds: float) -> Until:
    """After the first question, which comes when the process has been started."""
    asked: list[float] = []

    def until(process: subprocess.Popen[bytes], said: Path) -> bool:
        asked.append(time.monotonic())
        return asked[-1] - asked[0] > seconds

    return until


def told(
    folder: Path, until: Until, number: signal.Signals, script: str, *arguments: str, twice: bool = False
) -> tuple[int, str]:
    """Runs a command in a group of processes and tells all of them when the moment comes; (exit status, all that it said)."""
    said = folder / "said.txt"

    def as_in_a_terminal() -> None:
        for one in (signal.SIGINT, signal.SIGHUP):
            signal.signal(one, signal.SIG_DFL)

    with said.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / script), *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
            preexec_fn=as_in_a_terminal,
        )
    try:
        while process.poll() is None and not until(process, said):
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
            if twice:
                while process.poll() is None and not has_said("Ctrl-C again")(process, said):
                    time.sleep(0.01)
                time.sleep(0.4)
                os.killpg(process.pid, number)
        status = process.wait(timeout=300)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return status, said.read_text(encoding="utf-8", errors="replace")


def outcomes(root: Path) -> list[str]:
    """Of the starts of the one run."""
    (file,) = root.glob("*/*/provenance.json")
    return [start["outcome"] for start in json.loads(file.read_text(encoding="utf-8"))]


def test_a_training_is_told_to_stop_at_its_beginning_and_at_its_end(tmp_path):
    """While it imports, before its first step, and while its weights are written; the same command goes on each time."""
    root = tmp_path / "my runs"
    command = ("train.py", *TRAIN, f"run.root='{root}'")
    for moment in (has_begun, imports_torch):
        status, said = told(tmp_path, moment, signal.SIGTERM, *command)
        assert (status, said) == (75, f"SIGTERM: {STARTING.says}\n")
    status, said = told(tmp_path, has_said("evaluation"), signal.SIGINT, *command)
    assert (status, outcomes(root)) == (75, ["interrupted"])
    assert "Ctrl-C: training stops" in said
    assert "stopped by SIGINT before its first step; run the same command again to go on\n" in said
    assert "Traceback" not in said
    status, said = told(tmp_path, has_said("step 6: eval/"), signal.SIGUSR1, *command)
    assert (status, outcomes(root)) == (0, ["interrupted", "complete"]), said
    assert "Traceback" not in said
    assert list(root.glob("*/*/complete.json"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
def test_a_training_is_told_to_stop_at_many_moments(tmp_path, number):
    """Nothing but 75, and 0 once there is nothing more to do."""
    root = tmp_path / "runs"
    moments = [has_begun, imports_torch, after(1), after(2), after(3), after(5), after(8)]
    moments += [
        has_said(text)
        for text in ("evaluation", "step 1/", "step 3/", "step 6: evaluation", "step 6: scores", "weights  ")
    ]
    for number_of_moment, moment in enumerate(moments):
        status, said = told(tmp_path, moment, number, "train.py", *TRAIN, f"run.root={root}")
        assert status in (0, 75), (number_of_moment, said)
        assert "Traceback" not in said
        if status == 0:
            break
    assert told(tmp_path, has_said("no such words"), number, "train.py", *TRAIN, f"run.root={root}")[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("moment", [imports_torch, has_said("evaluation"), has_said("step 2/")])
def test_two_processes_are_told_to_stop(tmp_path, moment):
    arguments = (*TRAIN, f"run.root={tmp_path / 'runs'}", "trainer.devices=2", "strategy=ddp")
    status, said = told(tmp_path, moment, signal.SIGTERM, "train.py", *arguments)
    assert status == 75
    assert "Traceback" not in said
    assert told(tmp_path, has_said("no such words"), signal.SIGTERM, "train.py", *arguments)[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["evaluation", "step 1/", "step 2/"])
def test_a_second_ctrl_c_ends_a_training_at_once(tmp_path, moment):
    """Steps that take longer than the time between the two."""
    arguments = (*TRAIN, "network.width=64", "data.batch_size=256", f"run.root={tmp_path / 'runs'}")
    status, said = told(tmp_path, has_said(moment), signal.SIGINT, "train.py", *arguments, twice=True)
    assert status in (75, 130)
    assert "Traceback" not in said
    assert said.count("ended at once") == (status == 130)
    assert "disk" not in said


@pytest.mark.slow
def test_a_training_whose_output_is_lost_saves(tmp_path):
    root = tmp_path / "runs"
    words = " ".join([sys.executable, str(ROOT / "train.py"), *TRAIN, f"run.root={root}"])
    for lost, status in (("| head -1", 75), ("> /dev/full", 75), ("2>&1 | head -1", 75), (">&- 2>&-", 0)):
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {words} {lost}"], capture_output=True, encoding="utf-8", cwd=tmp_path
        )
        assert done.returncode == status, (lost, done.stderr)
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
    assert outcomes(root)[-1] == "complete"


@pytest.mark.slow
def test_drawing_and_measuring_are_told_to_stop_at_many_moments(tmp_path):
    root = tmp_path / "runs"
    assert told(tmp_path, has_said("no such words"), signal.SIGTERM, "train.py", *TRAIN, f"run.root={root}")[0] == 0
    (run,) = root.glob("*/*")
    drawing = ("num_samples=64", "batch_size=8", "steps=20", "accelerator=cpu")
    for script, more in (("sample.py", (f"out={tmp_path / 'out'}",)), ("evaluate.py", ("reference_images=200",))):
        command = (script, f"checkpoint={run}", *drawing, *more)
        for moment in (has_begun, imports_torch, *(after(seconds) for seconds in (1, 2, 4, 6, 8, 10, 12))):
            for number in (signal.SIGTERM, signal.SIGINT):
                status, said = told(tmp_path, moment, number, *command)
                assert status in (0, 75), said
                assert "Traceback" not in said
        assert told(tmp_path, has_said("no such words"), signal.SIGTERM, *command)[0] == 0
