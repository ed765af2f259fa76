"""For whom the processes wait: the silent one, and not those that wait."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from difflab.training.run.pulse import Beat, accused
from running import SMALL


def beat(count: int, over: bool = False) -> Beat:
    return Beat("node", 1, count, 7, "computes", over)


def test_who_is_accused():
    assert accused(beat(5), {1: beat(5), 2: beat(5)}, {}) is None, "all wait alike"
    assert accused(beat(5), {1: beat(6), 2: beat(6)}, {}) is None, "the others wait for this one"
    assert accused(beat(5), {1: beat(5), 2: beat(4)}, {}) == 2
    assert accused(beat(5), {1: beat(5), 2: beat(5)}, {1: 60.0}) == 1
    assert accused(beat(5), {1: beat(3), 2: beat(5)}, {2: 60.0}) == 2, "one that is slow still answers"
    assert accused(beat(5), {1: beat(3, over=True)}, {1: 60.0}) is None


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [0, 1])
def test_one_line_names_the_process_that_was_stopped(tmp_path, stopped):
    """Also where it is the first one, which keeps the place where the others could ask for it."""
    command = [sys.executable, "-m", "difflab", "train", *SMALL, f"run.root={tmp_path}"]
    command += [
        "trainer.max_steps=100000",
        "eval.every=100000",
        "trainer.devices=2",
        "strategy=ddp",
        "strategy.timeout=0.2",
    ]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8")
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("*/*/checkpoints/step-*6.ckpt")):
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.2)
    time.sleep(4)  # all have said where they are
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text(encoding="utf-8").split()
    (second,) = [int(one) for one in children if b"\0LOCAL_RANK=1\0" in Path(f"/proc/{one}/environ").read_bytes()]
    os.kill([first.pid, second][stopped], signal.SIGSTOP)
    said = first.communicate(timeout=90)[1]
    assert first.returncode == (-signal.SIGKILL if stopped == 0 else 1)
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, said
    assert f"process {stopped} on" in errors[0]
    assert "is silent: it no longer answers" in errors[0]
    assert "Traceback" not in said
    assert "frame #" not in said
