"""Python's collector at the start and the end of a process."""

import gc
import subprocess
import sys

import pytest

from difflab.runtime.process import gc_paused

ENDING = """
import atexit, gc, threading, time
from difflab.runtime.process import end_at_once

class Cycle:
    def __init__(self):
        self.itself = self
    def __del__(self):
        print("collected", flush=True)

atexit.register(lambda: print("waited for", flush=True))
end_at_once()
threading.Thread(target=lambda: (time.sleep(0.2), print("thread", flush=True))).start()
kept = Cycle()
"""


@pytest.fixture
def unfrozen():
    yield
    gc.unfreeze()


def begin_and_fail():
    with gc_paused():
        raise RuntimeError("no such module")


def test_nothing_is_collected_within_and_all_is_as_it_was_afterwards(unfrozen):
    before = gc.get_freeze_count()
    with gc_paused():
        assert not gc.isenabled()
        made = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(made)
    with pytest.raises(RuntimeError, match="no such module"):
        begin_and_fail()
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("ends", "said"), [(True, ["thread", "waited for"]), (False, ["thread", "waited for", "collected"])]
)
def test_at_the_end_all_is_waited_for_and_nothing_is_collected(ends, said):
    code = ENDING if ends else ENDING.replace("\nend_at_once()", "")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.split("\n")[:-1] == said
