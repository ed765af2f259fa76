"""Memory that is freed and asked for again costs the kernel nothing. In processes of their own: it is a setting of the process."""

import json
import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import json, resource, sys
import torch
from difflab.runtime.process import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else False
x = torch.randn(12_000_000)  # 48 MB: above 32 MiB the C library maps anew however often the same has been freed
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(6):
        y = (x + 1) * 2 + 3
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
fewest = min(faults() for _ in range(4))  # the first ones make room for all that is there at a time
print(json.dumps([kept, fewest]))
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")


def run(argument, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_") and k != "GLIBC_TUNABLES"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, argument],
        capture_output=True,
        encoding="utf-8",
        env=clean | environment,
        check=True,
    )
    return json.loads(done.stdout)


def test_pages_are_not_asked_for_again():
    kept, faults = run("keep")
    assert kept
    _, otherwise = run("leave")
    assert faults < otherwise / 5


def test_what_the_environment_says_stays():
    kept, _ = run("keep", MALLOC_MMAP_THRESHOLD_="100000")
    assert not kept
