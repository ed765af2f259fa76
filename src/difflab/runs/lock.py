"""One process at a time works on a run."""

from __future__ import annotations

import json
import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from difflab.files import write_json


class RunBusyError(RuntimeError):
    """Another process is working on the run."""


class RunLock:
    """An operating system's lock on <run>/lock, which ends with the process however that ends; <run>/lock.json says who holds it.

    A SLURM job that was requeued since its node no longer answers takes the lock over from its own earlier start, which may be frozen
    and not dead; what that could still write is what this one writes.

    grace   seconds to wait for a dead holder's remains (its data workers share the lock until they notice)
    """

    def __init__(self, directory: str | Path, grace: float = 15.0):
        self.directory = Path(directory)
        self.grace = grace
        self._lock = FileLock(self.directory / "lock")
        self._holder = self.directory / "lock.json"

    def acquire(self) -> None:
        """Takes the lock, also over from a dead process. A RunBusyError says which living one holds it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self.grace
        while True:
            try:
                self._lock.acquire(timeout=0.2)
                break
            except Timeout:
                if self._is_earlier_start():
                    if time.monotonic() > deadline:
                        (self.directory / "lock").unlink(missing_ok=True)
                        self._lock = FileLock(self.directory / "lock")
                elif self._holder_lives() or time.monotonic() > deadline:
                    raise RunBusyError(
                        f"{self.directory} is being worked on by {self._who()}: wait for it or stop it. For a second, independent "
                        "run of the same command set run.restart=true"
                    ) from None
        me = {"host": platform.node(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
        job, start = _job()
        write_json(self._holder, me | {"job": job, "start": start}, indent=None)

    def release(self) -> None:
        self._holder.unlink(missing_ok=True)
        self._lock.release()

    def is_held(self) -> bool:
        """Whether some process holds the lock."""
        if not (self.directory / "lock").exists():
            return False
        try:
            with self._lock.acquire(timeout=0):
                return False
        except Timeout:
            return True

    def _holder_lives(self) -> bool:
        """False only if the holder was on this machine and is gone."""
        try:
            holder = json.loads(self._holder.read_text(encoding="utf-8"))
            if holder["host"] != platform.node():
                return True
            os.kill(holder["pid"], 0)
        except ProcessLookupError:
            return False
        except (OSError, ValueError, KeyError):
            return True
        return True

    def _is_earlier_start(self) -> bool:
        """Whether the holder is an earlier start of the SLURM job that this process belongs to."""
        job, start = _job()
        try:
            holder = json.loads(self._holder.read_text(encoding="utf-8"))
            return bool(job) and holder["job"] == job and holder["start"] < start
        except (OSError, ValueError, KeyError):
            return False

    def _who(self) -> str:
        try:
            holder = json.loads(self._holder.read_text(encoding="utf-8"))
            return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        except (OSError, ValueError, KeyError):
            return "another process"


def _job() -> tuple[str, int]:
    """Number of this process's SLURM job, "" outside of one, and how many times that has been requeued."""
    return os.environ.get("SLURM_JOB_ID", ""), int(os.environ.get("SLURM_RESTART_COUNT", "0"))
