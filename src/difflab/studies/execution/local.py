"""A study on this machine: workers take its trainings one after the other, and outlive the command that has started them."""

from __future__ import annotations

import os
import platform
import shlex
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import submitit

from difflab.studies.execution.folder import StudyFolder, is_held, last_error, read_record
from difflab.studies.execution.queue import PoolFile
from difflab.studies.execution.tasks import Executor, LaunchError, TrainingTask


class DetachedExecutor(submitit.LocalExecutor):
    """submitit's local executor, whose jobs outlive the shell.

    submitit's own starts a job in the session of the shell, which ends it when the terminal is closed, and beneath a controller that hides
    the GPUs, ends the job after a time limit and kills it a second after it was asked to stop. Nor does it limit how many jobs run at a
    time, for which a job is here a worker that takes tasks.

    Args:
        folder: For pickles.
        log: For what jobs print.
    """

    def __init__(self, folder: Path, log: Path):
        super().__init__(folder)
        self.log = log

    def _submit_command(self, command: str) -> submitit.LocalJob[Any]:
        name = uuid.uuid4().hex[:12]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                shlex.split(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_JOB_ID": name},
            )
        return submitit.LocalJob(self.folder, name, process=process)


class Pool(Executor):
    """Some tasks at a time, by workers that go on when this command has ended. Another launch hands them more tasks.

    Args:
        jobs: Tasks at a time. With several GPUs each task gets one; a training over several GPUs wants jobs = 1.
        grace: Seconds that a cancelled task has for saving.
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
        folder = StudyFolder(root)
        keys = [task.key for task in (*trainings, *evaluations)]
        if not keys:
            return []
        with folder.writing():
            before = PoolFile.read(folder)
            if before.lives and before.host != platform.node():
                raise LaunchError(_elsewhere(before, "launch"))
            if before.pid:
                raise LaunchError(
                    f"an earlier version of difflab works on the study (process {before.pid}): wait until it has ended, or cancel"
                )
            pool = PoolFile(self.jobs, self.grace, platform.node())
            pool.waiting = list(dict.fromkeys([*(before.waiting if before.lives else ()), *keys]))
            pool.pids, pool.tasks = before.pids, before.tasks
            pool.write(folder)
            started = _start(folder, [slot for slot in range(self.jobs) if str(slot) not in before.pids][: len(keys)])
        _await(started, folder)
        if before.lives:
            return [f"handed {len(keys)} tasks to the pool that is at work, {self.jobs} at a time"]
        pids = ", ".join(map(str, PoolFile.read(folder).pids.values()))
        return [
            f"pool started (process {pids}): {len(keys)} tasks, {self.jobs} at a time",
            f"log  {folder.pool_log}",
        ]

    def cancel(self, root: Path) -> list[str]:
        """Stops what waits and runs of the study on this machine; runs save. Returns when all has ended."""
        folder = StudyFolder(root)
        if not folder.pool.exists():
            return []
        with folder.writing():
            pool = PoolFile.read(folder)
            if pool.lives and pool.host != platform.node():
                raise LaunchError(_elsewhere(pool, "cancel"))
            if pool.pids:
                PoolFile(pool.jobs, pool.grace, pool.host, [], pool.pids, pool.tasks).write(folder)
        said = []
        if pool.lives:
            for pid in filter(None, (pool.pid, *pool.pids.values())):
                _send(os.kill, pid, signal.SIGTERM)
            _wait(lambda: PoolFile.read(folder).lives, max(self.grace, pool.grace) + 10)
            said.append(f"stopped the pool: {len(pool.running)} tasks were running, {len(pool.waiting)} waiting")
        left = _left(folder)  # of workers that were killed
        for number, patience in ((signal.SIGTERM, self.grace), (signal.SIGKILL, 10.0)):
            for group in _left(folder):
                _send(os.killpg, group, number)
            _wait(lambda: bool(_left(folder)), patience)
        return [*said, f"stopped {len(left)} tasks that an earlier pool had left"] if left else said


def _start(folder: StudyFolder, slots: Sequence[int]) -> dict[int, submitit.Job[None]]:
    """Submits a worker for each slot."""
    from difflab.studies.execution.worker import gpus, work

    for path in (folder.workers, folder.pool_log.parent):
        path.mkdir(parents=True, exist_ok=True)
    for path in folder.workers.glob("*.pkl"):
        if not any(is_held(lock) for lock in folder.workers.glob("*.lock")):  # of workers that have ended
            path.unlink(missing_ok=True)
    executor, found = DetachedExecutor(folder.workers, folder.pool_log), gpus()
    return {slot: executor.submit(work, folder.root, slot, found) for slot in slots}


def _await(started: Mapping[int, submitit.Job[None]], folder: StudyFolder) -> None:
    """Waits until workers are at work, or have ended already."""
    for slot, job in started.items():
        _wait(lambda job=job, slot=slot: not job.done() and str(slot) not in PoolFile.read(folder).pids, 120)
        if job.done() and (not job.paths.result_pickle.exists() or job.exception()):
            raise LaunchError(f"the pool did not start: {last_error(folder.pool_log)} (all of it in {folder.pool_log})")


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline:
        time.sleep(0.1)


def _left(folder: StudyFolder) -> list[int]:
    """Groups of processes of this machine that still hold their task's lock."""
    records = [read_record(path.with_suffix(".json")) for path in folder.tasks.glob("*.lock") if is_held(path)]
    return [r.pid for r in records if r is not None and r.pid and r.where == platform.node() and not r.ended]


def _send(how: Callable[[int, int], None], target: int, number: signal.Signals) -> None:
    """Sends a signal to a process or a group of them, if it is there."""
    with suppress(ProcessLookupError):
        how(target, number)


def _elsewhere(pool: PoolFile, command: str) -> str:
    return f"the study's pool is at work on {pool.host}, and this is {platform.node()}: {command} there"
