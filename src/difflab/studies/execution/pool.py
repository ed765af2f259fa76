"""The local pool: this machine's processors and GPUs."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from difflab.studies.execution.executor import Executor, LaunchError
from difflab.studies.execution.holding import is_held
from difflab.studies.execution.last_words import tail
from difflab.studies.execution.places import Places
from difflab.studies.execution.pool_file import PoolFile
from difflab.studies.execution.process import send
from difflab.studies.execution.record import read_record
from difflab.studies.execution.tasks import TrainingTask


class Pool(Executor):
    """Some tasks at a time, by a supervisor that goes on when this command has ended. Another launch hands it more tasks.

    jobs    tasks at a time. With several GPUs each task gets one; a training over several GPUs wants jobs = 1
    grace   seconds that a cancelled task has for saving
    """

    def __init__(self, jobs: int = 1, grace: float = 60.0):
        if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
            raise ValueError(f"jobs={jobs}: expected how many tasks run at a time, at least 1")
        if grace <= 0:
            raise ValueError(f"grace={grace}: expected seconds above 0, in which a cancelled run saves")
        self.jobs = jobs
        self.grace = grace

    @property
    def waits_for_others(self) -> bool:
        return True

    def submit(self, root: Path, trainings: Sequence[TrainingTask], evaluations: Sequence[TrainingTask]) -> list[str]:
        places = Places(root)
        keys = [task.key for task in (*trainings, *evaluations)]
        if not keys:
            return []
        started = None
        with places.writing():
            pool, lives = PoolFile.read(places), PoolFile().lives(places)
            if lives and pool.host != platform.node():
                raise LaunchError(_elsewhere(pool, "launch"))
            kept = pool if lives else PoolFile()
            kept.jobs, kept.grace = self.jobs, self.grace
            kept.waiting = list(dict.fromkeys([*kept.waiting, *keys]))
            if not lives:
                started = _start(places)
                kept.pid, kept.host = started.pid, platform.node()
            kept.write(places)
        if started is None:
            return [f"handed {len(keys)} tasks to the pool that is at work (process {pool.pid}), {self.jobs} at a time"]
        _await(started, places)
        return [
            f"pool started (process {started.pid}): {len(keys)} tasks, {self.jobs} at a time",
            f"log  {places.pool_log}",
        ]

    def cancel(self, root: Path) -> list[str]:
        """Returns once all has ended."""
        places = Places(root)
        pool, lives = PoolFile.read(places), PoolFile().lives(places)
        if lives and pool.host != platform.node():
            raise LaunchError(_elsewhere(pool, "cancel"))
        said = []
        if lives and pool.pid:
            os.kill(pool.pid, signal.SIGTERM)
            _wait(lambda: PoolFile().lives(places), max(self.grace, pool.grace) + 10)
            said.append(f"stopped the pool: {len(pool.running)} tasks were running, {len(pool.waiting)} waiting")
        left = _left(places)  # of a supervisor that was killed
        for number, patience in ((signal.SIGTERM, self.grace), (signal.SIGKILL, 10.0)):
            for group in _left(places):
                send(number, group)
            _wait(lambda: bool(_left(places)), patience)
        return [*said, f"stopped {len(left)} tasks that an earlier pool had left"] if left else said


def _start(places: Places) -> subprocess.Popen[bytes]:
    places.pool_log.parent.mkdir(parents=True, exist_ok=True)
    with places.pool_log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "difflab.studies.execution.supervisor", str(places.root)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _await(supervisor: subprocess.Popen[bytes], places: Places) -> None:
    """Until it is at work, or has ended already."""
    _wait(lambda: supervisor.poll() is None and not PoolFile().lives(places), 120)
    if supervisor.poll():
        raise LaunchError(
            f"the pool did not start: {tail(places.pool_log).strip()[-400:]} (all of it in {places.pool_log})"
        )


def _wait(condition, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline:
        time.sleep(0.1)


def _left(places: Places) -> list[int]:
    """Groups of processes of this machine that still hold their task's lock."""
    records = [read_record(path.with_suffix(".json")) for path in places.tasks.glob("*.lock") if is_held(path)]
    return [r.pid for r in records if r is not None and r.pid and r.where == platform.node() and not r.ended]


def _elsewhere(pool: PoolFile, command: str) -> str:
    return f"the study's pool is at work on {pool.host}, and this is {platform.node()}: {command} there"
