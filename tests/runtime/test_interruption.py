"""Processes that agree whether to stop."""

import subprocess
import sys
import time

ASKING = """
import sys, time
import torch.distributed as dist
from difflab.runtime import Interruption

rank, store = int(sys.argv[1]), dist.FileStore(sys.argv[2], 2)
dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
interruption = Interruption("", 0, 2 / 60)
interruption.connect()
assert not interruption.requested()
print("agreed", flush=True)
if rank == 1:
    time.sleep(30)
interruption.requested()
"""


def test_a_process_that_is_silent_is_waited_for_as_long_as_the_strategy_says(tmp_path):
    """Its timeout of two seconds, and not the 30 minutes of torch."""
    command = [sys.executable, "-c", ASKING]
    silent = subprocess.Popen([*command, "1", str(tmp_path / "store")], stdout=subprocess.PIPE)
    waiting = subprocess.Popen(
        [*command, "0", str(tmp_path / "store")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    try:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "agreed\n"
        began = time.monotonic()
        assert "RuntimeError" in waiting.communicate(timeout=60)[1]
        assert time.monotonic() - began < 20
        assert silent.poll() is None
    finally:
        silent.kill()
        silent.wait()
