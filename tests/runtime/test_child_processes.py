"""Processes end with the one that has started them, however that ends."""

import os
import signal
import subprocess
import sys

import pytest

from processes import is_gone

PARENT = """
import multiprocessing, signal, sys, time
from difflab.runtime.process import end_with_parent, kill_workers_at_exit

context = multiprocessing.get_context("fork")
ready = context.Event()

def work():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    {first}
    ready.set()
    time.sleep(600)

{last}
worker = context.Process(target=work, daemon=True)
worker.start()
ready.wait()
print(worker.pid, flush=True)
time.sleep({seconds})
sys.exit(7)
"""


def begun(**parts) -> tuple[subprocess.Popen, int]:
    """A process, and the number of the worker that it has started."""
    program = PARENT.format(**parts)
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, encoding="utf-8")
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a matter of Linux")
def test_a_child_ends_with_a_parent_that_is_killed():
    parent, child = begun(first="end_with_parent()", last="", seconds=600)
    parent.kill()
    parent.wait()
    assert is_gone(child)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a matter of Linux")
def test_a_child_whose_parent_was_gone_before_ends_at_once():
    program = "from difflab.runtime.process import end_with_parent; end_with_parent(parent=1 << 22)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    alive = f"from difflab.runtime.process import end_with_parent; end_with_parent(parent={os.getpid()})"
    assert subprocess.run([sys.executable, "-c", alive], check=False).returncode == 0


def test_a_process_does_not_wait_for_workers_that_ignore_its_word():
    parent, child = begun(first="pass", last="kill_workers_at_exit()", seconds=0)
    assert parent.wait(timeout=60) == 7
    assert is_gone(child)
