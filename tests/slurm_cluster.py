"""A SLURM cluster for the tests that need one, and jobs on it."""

import importlib.util
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "slurm" / "cluster" / "cluster.py"


class Cluster:
    """Four nodes named node1 to node4, of two processors each."""

    def __init__(self, state: Path, port: int):
        self.state = state
        own = {"DIFFLAB_CLUSTER": str(state), "DIFFLAB_CLUSTER_PORT": str(port), "SLURM_CONF": f"{state}/slurm.conf"}
        path = f"{PROGRAM.parent}/bin:{os.environ['PATH']}"
        self.environment = {**os.environ, **own, "PATH": path, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}

    def control(self, *arguments: str) -> None:
        self.run(sys.executable, str(PROGRAM), *arguments)

    def run(self, *command: str, status: int = 0) -> str:
        """What a command says, which must end with that status."""
        done = subprocess.run(
            command, env=self.environment, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=300, check=False
        )
        assert done.returncode == status, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def train(self, *overrides: str, status: int = 0) -> str:
        return self.run(sys.executable, "-m", "difflab", "train", *overrides, status=status)

    def submit(self, *overrides: str) -> str:
        """`train.py ... launcher=slurm`; the job's number."""
        said = self.train(*overrides, "launcher=slurm")
        found = re.search(r"submitted job (\d+)", said)
        assert found, said
        return found[1]

    def job(self, number: str) -> dict[str, str]:
        """What scontrol knows of a job."""
        return dict(re.findall(r"(\w+)=(\S*)", self.run("scontrol", "show", "job", "-o", number)))

    def wait(self, number: str, folder: Path, seconds: float = 120.0) -> dict[str, str]:
        """The job once it has ended for good; a requeued one has not."""
        return self.wait_until(number, folder, lambda job: job["JobState"] in ENDED, seconds)

    def wait_until(self, number: str, folder: Path, ready, seconds: float = 120.0) -> dict[str, str]:
        deadline = time.monotonic() + seconds
        while not ready(job := self.job(number)):
            assert time.monotonic() < deadline, f"{job}\n{self.log(number, folder)[-6000:]}"
            time.sleep(0.3)
        return job

    def wait_for_word(self, word: str, number: str, folder: Path, seconds: float = 120.0) -> None:
        """Until the job's log has a word."""
        self.wait_until(number, folder, lambda job: word in self.log(number, folder), seconds)

    def log(self, number: str, folder: Path) -> str:
        path = folder / f"{number}.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def rank(self, number: str, rank: int) -> int:
        """The process number of a rank: its training process, not a worker of it."""
        for path in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
            try:
                environment = (path / "environ").read_bytes().decode(errors="replace").split("\0")
                command = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            mine = {f"SLURM_JOB_ID={number}", f"SLURM_PROCID={rank}", f"SLURM_CONF={self.environment['SLURM_CONF']}"}
            if mine <= set(environment) and "difflab" in command and "SLURM_STEP_ID=0" in environment:
                return int(path.name)
        raise AssertionError(f"job {number} has no rank {rank}")


ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")


def started() -> Iterator[Cluster]:
    """A cluster while a fixture lives; skips the test where there can be none."""
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
