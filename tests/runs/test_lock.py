"""One process at a time works on a run, whatever the file system, the machine and SLURM do."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import pytest

from difflab.runs import RunBusyError, RunLock, RunLostError, holder
from difflab.runs.holder import Holder

WITHOUT_FLOCK = """
def refused(file, what):
    raise OSError(errno.ENOLCK, "no locks available")

fcntl.flock = refused
"""
HOLDING = """
import errno, fcntl, sys, time
{before}
from difflab.runs import holder, RunLock
if sys.argv[2:]:
    holder.machine = lambda: sys.argv[2]
RunLock(sys.argv[1], beat=0.1).acquire()
print("held", flush=True)
time.sleep(100)
"""


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


@pytest.fixture
def without_flock(monkeypatch):
    """As on file systems that have none: Lustre without -o flock, NFS without its lock daemon, many a FUSE."""

    def refused(file, what):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refused)


@pytest.fixture
def holding(tmp_path):
    """Starts a process that holds the run in tmp_path, without flock, on this machine or one of another name."""
    started = []

    def start(*machine: str) -> subprocess.Popen[str]:
        code = HOLDING.format(before=WITHOUT_FLOCK)
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), *machine], stdout=subprocess.PIPE, encoding="utf-8"
        )
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
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


def test_a_run_is_given_back_and_taken_again(tmp_path):
    for _ in range(2):
        lock = RunLock(tmp_path)
        lock.acquire()
        lock.check()
        assert RunLock(tmp_path).is_held()
        lock.release()
        assert not RunLock(tmp_path).is_held()
        assert os.listdir(tmp_path) == ["lock"]


def test_without_flock_a_living_holder_keeps_its_run_and_a_dead_one_loses_it(tmp_path, holding, without_flock):
    process = holding()
    old = time.time() - 10_000
    os.utime(tmp_path / "lock", (old, old))  # an old file is no dead holder
    assert RunLock(tmp_path).is_held()
    with pytest.raises(RunBusyError, match=f"process {process.pid} on"):
        RunLock(tmp_path).acquire()
    process.kill()
    process.wait()
    assert not RunLock(tmp_path).is_held()
    lock = RunLock(tmp_path, timeout=0.2)
    lock.acquire()
    lock.release()


def test_without_flock_a_holder_on_another_machine_is_watched(tmp_path, holding, without_flock):
    process = holding("another machine")
    assert RunLock(tmp_path).is_held()
    with pytest.raises(RunBusyError, match=f"process {process.pid} on"):
        RunLock(tmp_path, beat=0.1, timeout=60).acquire()
    process.kill()
    process.wait()
    RunLock(tmp_path, beat=0.1, timeout=2).acquire()


def test_a_flock_that_other_machines_do_not_see_is_not_enough(tmp_path, holding):
    """As of NFS mounted with local_lock=flock: both machines are given the lock."""
    process = holding("another machine")
    with pytest.raises(RunBusyError, match=f"process {process.pid} on"):
        RunLock(tmp_path, beat=0.1, timeout=60).acquire()


def test_a_number_that_another_process_has_now_is_not_the_holder(tmp_path, without_flock):
    me = Holder.me()
    assert me.lives()
    replace(me, began="1").write(tmp_path / "lock.json")
    RunLock(tmp_path, timeout=0.2).acquire()


def test_of_two_that_start_at_once_without_flock_one_gets_the_run(tmp_path, without_flock, monkeypatch):
    got, start = [], threading.Barrier(2)

    def take():
        start.wait()
        try:
            RunLock(tmp_path, timeout=2).acquire()
            got.append("held")
        except RunBusyError:
            got.append("busy")

    monkeypatch.setattr(Holder, "lives", lambda self: False)  # as if each had looked before the other wrote
    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == ["busy", "held"]


def test_a_frozen_holder_that_wakes_up_finds_itself_replaced(tmp_path):
    lock = RunLock(tmp_path)
    lock.acquire()
    lock.check()
    replace(Holder.me(), host="node7").write(tmp_path / "lock.json")
    lock._looked = 0.0
    with pytest.raises(RunLostError, match=r"on node7 .* has taken"):
        lock.check()
    lock.release()
    assert (tmp_path / "lock.json").exists(), "that of the other"


def test_a_renamed_run_is_noticed(tmp_path):
    lock = RunLock(tmp_path / "run")
    lock.acquire()
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    with pytest.raises(RunLostError, match="renamed or removed"):
        lock.check()
    lock.release()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"host": 1}', '{"host": "a", "pid": "x", "since": ""}', '{"pid": 1e999}']
)
def test_a_note_that_says_nothing_holds_nobody_off(tmp_path, content):
    (tmp_path / "lock.json").write_text(content, encoding="utf-8")
    lock = RunLock(tmp_path)
    assert not lock.is_held()
    lock.acquire()
    assert Holder.read(tmp_path / "lock.json") == lock._me
    lock.release()


def test_what_an_earlier_version_left_holds_nobody_off(tmp_path):
    said = {"host": "node2", "pid": 1, "since": "2025", "job": "", "start": 0}
    (tmp_path / "lock.json").write_text(json.dumps(said), encoding="utf-8")
    RunLock(tmp_path).acquire()


def test_the_machine_is_known_apart_from_its_name(monkeypatch):
    me = Holder.me()
    assert me.lives()
    monkeypatch.setattr(holder, "machine", lambda: f"{me.host} in another container")
    assert me.lives() is None
    assert set(asdict(me)) > {"host", "pid", "since"}
