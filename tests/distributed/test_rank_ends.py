"""Ranks that Lightning has started beside the first end with it, and it with them, also before they know each other."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from processes import is_gone
from running import SMALL

ROOT = Path(__file__).parents[2]


@pytest.fixture
def two_ranks(tmp_path):
    """Rank 0, and the number of rank 1, which has just been started."""
    words = [*SMALL, "trainer.devices=2", "strategy=ddp", "trainer.max_steps=100000", f"run.root={tmp_path}"]
    with (tmp_path / "said").open("w", encoding="utf-8") as said:
        first = subprocess.Popen(
            [sys.executable, "train.py", *words], cwd=ROOT, stdout=said, stderr=said, env={**os.environ}
        )
    second, deadline = 0, time.monotonic() + 100
    while not second:
        assert time.monotonic() < deadline
        children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text(encoding="utf-8").split()
        second = next((int(child) for child in children if is_rank(child)), 0)
        time.sleep(0.05)
    time.sleep(1)  # Python itself starts
    yield first, second
    first.kill()
    first.wait()


def is_rank(child: str) -> bool:
    try:
        return b"LOCAL_RANK=1" in Path(f"/proc/{child}/environ").read_bytes()
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a matter of Linux")
def test_a_rank_ends_with_the_first(two_ranks):
    first, second = two_ranks
    first.kill()
    first.wait()
    assert is_gone(second)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a matter of Linux")
def test_the_first_ends_with_a_rank(two_ranks):
    first, second = two_ranks
    os.kill(second, 9)
    assert first.wait(timeout=60) != 0
