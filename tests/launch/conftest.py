"""The cluster that the tests of this folder share."""

import importlib.util
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import PROGRAM, Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    sys.path.insert(0, str(PROGRAM.parent))
    spec = importlib.util.spec_from_file_location("cluster_program", PROGRAM)
    assert spec
    assert spec.loader
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    sys.path.remove(str(PROGRAM.parent))
    if why := program.missing():
        pytest.skip(why)
    with tempfile.TemporaryDirectory(prefix="cluster") as folder:  # short: sockets have short names
        Path(folder).chmod(0o755)  # munge runs under a user of its own
        it = Cluster(Path(folder) / "c", random.randrange(20000, 29000, 10))
        it.control("up")
        try:
            yield it
        finally:
            it.control("down")
