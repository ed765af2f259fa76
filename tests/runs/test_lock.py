"""The lock of a run after a SLURM job was started again."""

import json
import subprocess
import sys
import time

import pytest

from difflab.runs import RunBusyError, RunLock


@pytest.fixture
def frozen(tmp_path):
    """A process on a node that no longer answers holds the lock, for job 12."""
    code = "import sys, time, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True); time.sleep(100)"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE, encoding="utf-8"
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    holder = {"host": "node2", "pid": 1, "since": "today", "job": "12", "start": 0}
    (tmp_path / "lock.json").write_text(json.dumps(holder), encoding="utf-8")
    yield tmp_path
    process.kill()
    process.wait()


def test_a_requeued_job_takes_over_from_its_own_earlier_start(frozen, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    lock, began = RunLock(frozen, grace=0.6), time.monotonic()
    lock.acquire()
    assert time.monotonic() - began > 0.5
    assert json.loads((frozen / "lock.json").read_text(encoding="utf-8"))["start"] == 1
    with pytest.raises(RunBusyError):
        RunLock(frozen, grace=0.1).acquire()
    lock.release()


@pytest.mark.parametrize(("job", "start"), [("13", "1"), ("12", "0"), ("", "1")])
def test_nobody_else_does(frozen, monkeypatch, job, start):
    monkeypatch.setenv("SLURM_JOB_ID", job)
    monkeypatch.setenv("SLURM_RESTART_COUNT", start)
    with pytest.raises(RunBusyError, match="node2"):
        RunLock(frozen, grace=0.1).acquire()
