"""What a study keeps of its execution, in <plan.root>/_study/: files, locks, how tasks ended, and the error that a log ends with."""

from __future__ import annotations

import fcntl
import os
import re
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from difflab.files import write_json
from difflab.reading import read_json

START = "--- start "
"""Begins the line that is written at each start of a task, with `of <task>` behind it."""

_BEGUN = re.compile(r"--- start (of |\d+ of job \S+ on )")
"""Such a line, also as a batch script writes it; the decision on a start begins like it and goes on in another way."""

_ERROR = re.compile(
    r"^(\w+\.)*\w*(Error|Exception|Interrupt)\b|^error: |diverged|\bKilled\b|CANCELLED|DUE TO TIME LIMIT|out of memory",
    re.I,
)


@dataclass(frozen=True)
class StudyFolder:
    """Paths and locks of a study's execution.

    _study/plan.json              the tasks (tasks.py)
    _study/preregistration.json   what was fixed before the first result, later changes, and looks (preregistration.py)
    _study/pool.json              what waits for this machine's workers, and who they are (local.py)
    _study/jobs.json              what was submitted to SLURM (slurm.py)
    _study/tasks/<key>.json       how a task ended; <key>.lock is held while it runs
    _study/workers/<slot>.lock    held by a worker while it lives; beside it what submitit keeps of it
    _study/logs/                  <row>-seed<k>.log, and the workers' own
    _study/slurm/                 of the jobs: logs of their beginning, scripts, attempts

    Attributes:
        root: Folder of the plan.
    """

    root: Path

    @property
    def path(self) -> Path:
        return self.root / "_study"

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def preregistration(self) -> Path:
        return self.path / "preregistration.json"

    @property
    def pool(self) -> Path:
        return self.path / "pool.json"

    @property
    def jobs(self) -> Path:
        return self.path / "jobs.json"

    @property
    def tasks(self) -> Path:
        return self.path / "tasks"

    @property
    def workers(self) -> Path:
        return self.path / "workers"

    @property
    def slurm(self) -> Path:
        return self.path / "slurm"

    @property
    def pool_log(self) -> Path:
        return self.path / "logs" / "pool.log"

    def log(self, row: str, seed: int) -> Path:
        return self.path / "logs" / f"{row}-seed{seed}.log"

    def record(self, key: str) -> Path:
        return self.tasks / f"{key}.json"

    def lock(self, key: str) -> Path:
        return self.tasks / f"{key}.lock"

    def worker(self, slot: int) -> Path:
        return self.workers / f"{slot}.lock"

    def writing(self) -> FileLock:
        """The lock for the moment in which a file of the study is read, changed and written."""
        self.path.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path / "writing.lock", timeout=60)

    def launching(self) -> FileLock:
        """The lock for one launch or retry at a time."""
        self.path.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path / "launching.lock", timeout=120)


@dataclass(frozen=True)
class Record:
    """How a task of a worker, or an evaluation of a job, began and ended: _study/tasks/<key>.json.

    Attributes:
        where: Host, or the job.
        pid: Process group on that host, 0 if others look after it.
        started: Start time (ISO).
        ended: End time (ISO); empty while running, or if the worker died.
        exit_code: -n: killed by signal n; None while it runs.
        error: The last error line.
        cancelled: Whether it was told to stop.
    """

    where: str
    pid: int
    started: str
    ended: str = ""
    exit_code: int | None = None
    error: str = ""
    cancelled: bool = False

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))


def read_record(path: Path) -> Record | None:
    """The record in a file; None where there is none that can be read."""
    try:
        return Record(**read_json(path))
    except (OSError, ValueError, TypeError):
        return None


def now() -> str:
    """The time in UTC; such times can be compared as texts."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def take(path: Path, timeout: float = 1.0) -> int | None:
    """Takes a lock that a child process can inherit, and that ends with whoever holds it last, however they end.

    The operating system's lock (flock) is on an open file, and a child that inherits the open file holds it, too: a training whose worker
    is killed keeps its lock. So no process number is remembered, and none is mistaken for another one that came to bear it. filelock,
    which guards the study's files, gives its open file to nobody.

    Args:
        path: The lock's file.
        timeout: Seconds; whoever asks `is_held` holds the lock for a moment.

    Returns:
        The open file, to be passed to a child and closed; None if somebody holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except OSError:
            if time.monotonic() > deadline:
                os.close(file)
                return None
            time.sleep(0.02)


def is_held(path: Path) -> bool:
    """Whether a living process holds a lock."""
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def last_error(log: Path) -> str:
    """The last line since the last start that speaks of an error, else the last line; "" without a log."""
    lines = [line.strip() for line in tail(log).splitlines()]
    begin = max((i for i, line in enumerate(lines) if _BEGUN.match(line)), default=-1)
    said = [line for line in lines[begin + 1 :] if line]
    return next((line for line in reversed(said) if _ERROR.search(line)), said[-1] if said else "")[:500]


def tail(path: Path, size: int = 32_768) -> str:
    """The last bytes of a file as text; "" if there is none."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - size))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def is_whole(results: Path) -> bool:
    """Whether results are there, and complete."""
    try:
        return "measurements" in read_json(results)
    except (OSError, ValueError, TypeError):
        return False
