"""A worker of the local pool: the job of submitit that trains and evaluates what waits, one training after the other.

Killed without a word it leaves its task running: the task holds its lock, and other workers leave it alone until it has ended. SIGTERM: the
task is told to save and stop, and killed after the time of grace.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from difflab.cluster.requeue import WITHOUT_PROGRESS
from difflab.runs import RunLock
from difflab.runs.saved_checkpoints import saved, step_of
from difflab.runtime import REQUEUE_EXIT_CODE
from difflab.studies.execution.folder import START, Record, StudyFolder, is_held, last_error, now, read_record, take
from difflab.studies.execution.queue import PoolFile
from difflab.studies.execution.tasks import TrainingTask, read_tasks, working_folder

_PAUSE = 0.2
"""Seconds between looks at what waits, or at whether the end was asked for."""


def work(root: Path, slot: int, gpus: Sequence[str]) -> None:
    """Trains and evaluates until nothing waits.

    Args:
        root: Folder of the plan.
        slot: The worker's place among the pool's.
        gpus: The machine's, as CUDA_VISIBLE_DEVICES names them.
    """
    worker = Worker(StudyFolder(root), slot, gpus)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stopped.set())
    worker.run()


class Worker:
    """One of the pool's `jobs` places.

    Attributes:
        stopped: Set when the worker is told to stop.
    """

    def __init__(self, folder: StudyFolder, slot: int, gpus: Sequence[str]):
        self.folder = folder
        self.slot = slot
        self.gpus = gpus
        self.stopped = threading.Event()

    def run(self) -> None:
        """Takes one training after the other, each with its evaluations after it."""
        lock = take(self.folder.worker(self.slot))
        if lock is None:
            return  # another one has come first, and will find what waits
        _say(f"worker {self.slot} begins")
        while (found := self._next(lock)) is not None:
            task, jobs = found
            try:
                self._do(task, share(self.slot, jobs, self.gpus))
            except Exception:
                _say(f"{task.key}: {traceback.format_exc()}")
        _say(f"worker {self.slot} ends: " + ("told to" if self.stopped.is_set() else "nothing waits"))

    def _next(self, lock: int) -> tuple[TrainingTask, int] | None:
        """Waits for a training that is free, and takes it.

        Returns:
            The training, and how many are at work at a time; None at the end, of which a launch that adds tasks at the same time learns by
            the worker's lock.
        """
        me = str(self.slot)
        while True:
            with self.folder.writing():
                pool = PoolFile.read(self.folder)
                before = asdict(pool)
                tasks = read_tasks(self.folder.root) if pool.waiting else {}
                pool.waiting = [key for key in dict.fromkeys(pool.waiting) if key in tasks]
                pool.pids[me] = os.getpid()
                pool.tasks.pop(me, None)
                if self.stopped.is_set() or not pool.waiting or self.slot >= pool.jobs:
                    del pool.pids[me]
                    pool.write(self.folder)
                    os.close(lock)
                    return None
                busy = self._busy(pool)
                pool.waiting = [key for key in pool.waiting if not self._is_orphan(tasks, key, pool, busy)]
                ready = [
                    key for key in pool.waiting if (of := tasks[key].after) not in tasks or tasks[of].is_complete()
                ]
                free = [key for key in ready if key not in busy and not RunLock(tasks[key].directory).is_held()]
                if free and len(busy) < pool.jobs:
                    pool.tasks[me] = free[0]
                    pool.waiting.remove(free[0])
                if asdict(pool) != before:
                    pool.write(self.folder)
                if me in pool.tasks:
                    return tasks[free[0]], pool.jobs
            self.stopped.wait(_PAUSE)

    @staticmethod
    def _is_orphan(tasks: Mapping[str, TrainingTask], key: str, pool: PoolFile, busy: set[str]) -> bool:
        """Whether a training waits for one that is not complete, and that nobody will complete: it would wait for ever."""
        trunk = tasks.get(tasks[key].after)
        if (
            trunk is None
            or trunk.is_complete()
            or trunk.key in {*pool.waiting, *busy}
            or RunLock(trunk.directory).is_held()
        ):
            return False
        _say(f"{key} is left out: the training {trunk.key} from which it goes on has not come to its end")
        return True

    def _busy(self, pool: PoolFile) -> set[str]:
        """Trainings that workers are at, and those that a killed worker has left: they take its place until they end."""
        held = (path.name.partition(".")[0] for path in self.folder.tasks.glob("*.lock") if is_held(path))
        return {*pool.tasks.values(), *held}

    def _do(self, task: TrainingTask, environment: Mapping[str, str]) -> None:
        """The training, then its evaluations. The tasks are read again for each: there may be new ones."""
        self._train(task, environment)
        tried: set[str] = set()
        while not self.stopped.is_set():
            current = read_tasks(self.folder.root).get(task.key)
            pending = (
                [one for one in current.pending() if one.key not in tried] if current and current.is_complete() else []
            )
            if current is None or not pending:
                return
            one = pending[0]
            tried.add(one.key)
            self._run(one.key, self.folder.log(one.row, one.seed), one.command(current.directory), environment)

    def _train(self, task: TrainingTask, environment: Mapping[str, str]) -> None:
        """Starts it again as long as it was interrupted by others and gets on, as a job of SLURM is."""
        best, fruitless = _newest_step(task.directory), 0
        while not self.stopped.is_set() and not task.is_complete():
            status = self._run(task.key, self.folder.log(task.row, task.seed), task.command(), environment)
            step = _newest_step(task.directory)
            fruitless = 0 if step > best else fruitless + 1
            best = max(best, step)
            if status == 0 and not task.is_complete():
                self._record_lost_run(task)
            if status != REQUEUE_EXIT_CODE or fruitless == WITHOUT_PROGRESS:
                return

    def _run(self, key: str, log: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> int | None:
        """Runs `python <arguments>` under its task's lock, and records how it ended.

        Returns:
            The exit status; None if another process works on the task.
        """
        lock = take(self.folder.lock(key))
        if lock is None:
            return None
        log.parent.mkdir(parents=True, exist_ok=True)
        began = now()
        try:
            with log.open("ab") as file:
                file.write(f"{START}of {key} at {began}\n".encode())
                file.flush()
                child = subprocess.Popen(
                    [sys.executable, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    cwd=working_folder(self.folder.root),
                    env=environment,
                    process_group=0,  # signals reach the processes that it starts beside itself
                    pass_fds=(lock,),
                )
        finally:
            os.close(lock)
        record = Record(platform.node(), child.pid, began)
        record.write(self.folder.record(key))
        status = self._end_of(child)
        error = f"killed by {signal.Signals(-status).name}" if status < 0 else last_error(log) if status else ""
        ended = replace(record, ended=now(), exit_code=status, error=error, cancelled=self.stopped.is_set())
        ended.write(self.folder.record(key))
        _say(f"{key}: status {status} ({log.name})")
        return status

    def _end_of(self, child: subprocess.Popen[bytes]) -> int:
        """Waits for a process, and passes on that the end was asked for."""
        told, deadline = False, float("inf")
        while True:
            with suppress(subprocess.TimeoutExpired):
                return child.wait(_PAUSE)
            with suppress(ProcessLookupError):
                if time.monotonic() > deadline:
                    os.killpg(child.pid, signal.SIGKILL)
                elif self.stopped.is_set() and not told:
                    told, deadline = True, time.monotonic() + PoolFile.read(self.folder).grace
                    os.killpg(child.pid, signal.SIGTERM)

    def _record_lost_run(self, task: TrainingTask) -> None:
        """Records that a training has ended well and left no complete run where the study looks for it: it cannot be evaluated."""
        path = self.folder.record(task.key)
        record = read_record(path)
        if record is not None:
            error = f"the training ended well, and there is no complete run in {task.directory}: nothing is evaluated"
            replace(record, error=error).write(path)
            _say(f"{task.key}: {error}")


def gpus() -> list[str]:
    """This machine's GPUs, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [str(i) for i in range(torch.cuda.device_count())] if named is None else [g for g in named.split(",") if g]


def share(slot: int, jobs: int, found: Sequence[str]) -> dict[str, str]:
    """The environment of a task: a share of the processors, or a GPU of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUBMITIT_")}
    if not found:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // jobs)))
    elif len(found) > 1 and jobs > 1:
        environment["CUDA_VISIBLE_DEVICES"] = found[slot % len(found)]
    return environment


def _newest_step(run: Path) -> int:
    found = saved(run / "checkpoints")
    return step_of(found[-1]) if found else -1


def _say(what: str) -> None:
    print(f"{now()} {platform.node()} {os.getpid()}: {what}", flush=True)
