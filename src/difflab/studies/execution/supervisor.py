"""The local pool's supervisor: one process for each study and machine, which outlives the command that started it.

    python -m difflab.studies.execution.supervisor <plan.root>

It takes trainings from pool.json, each with its evaluations after it, as many at a time as `jobs` says, and ends when nothing waits. Killed
without a word it leaves its tasks running: they hold their locks, and the next supervisor leaves them alone until they have ended.
SIGTERM: the tasks are told to save and stop, and killed after the time of grace.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from difflab.launch.slurm.verdict import WITHOUT_PROGRESS
from difflab.runs import RunLock
from difflab.runs.saved_checkpoints import saved, step_of
from difflab.runtime import REQUEUE_EXIT_CODE
from difflab.studies.execution.holding import is_held, take
from difflab.studies.execution.places import Places, now
from difflab.studies.execution.pool_file import PoolFile
from difflab.studies.execution.process import Process
from difflab.studies.execution.record import read_record
from difflab.studies.execution.tasks import TrainingTask, read_tasks, working_folder

_PAUSE = 0.2
"""Seconds between looks at what waits."""


class Supervisor:
    """root   of the plan"""

    def __init__(self, root: Path):
        self.places = Places(root)
        self._stop = threading.Event()
        self._busy: dict[int, tuple[str, threading.Thread]] = {}  # slot -> task
        self._processes: dict[int, Process] = {}

    def run(self) -> None:
        """Until nothing waits."""
        lock = take(self.places.supervisor)
        if lock is None:
            return  # another one has come first, and will find what waits
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        _say("begins")
        told: set[Process] = set()
        deadline = float("inf")
        while self._turn(lock):
            if self._stop.is_set():
                grace = PoolFile.read(self.places).grace
                deadline = min(deadline, time.monotonic() + grace)
                for process in self._processes.copy().values():
                    if process not in told:
                        if process.signal(signal.SIGTERM):
                            told.add(process)
                    elif time.monotonic() > deadline:
                        process.signal(signal.SIGKILL)
            time.sleep(_PAUSE)
        _say("ends: " + ("told to" if self._stop.is_set() else "nothing waits"))

    def _turn(self, lock: int) -> bool:
        """Gives tasks to free slots; False at the end, of which a launch that adds tasks at the same time learns by the lock."""
        with self.places.writing():
            pool = PoolFile.read(self.places)
            before = (list(pool.waiting), list(pool.running), pool.pid)
            self._busy = {slot: one for slot, one in self._busy.items() if one[1].is_alive()}
            if self._stop.is_set():
                pool.waiting = []
            tasks = read_tasks(self.places.root) if pool.waiting else {}
            pool.waiting = [key for key in dict.fromkeys(pool.waiting) if key in tasks]
            idle = [slot for slot in range(pool.jobs) if slot not in self._busy]
            if idle and pool.waiting:
                free = [key for key in pool.waiting if self._is_free(tasks[key])]
                elsewhere = len(pool.waiting) - len(
                    free
                )  # what a killed supervisor has left takes its room until it ends
                for slot, key in zip(idle[elsewhere:], free, strict=False):
                    pool.waiting.remove(key)
                    thread = threading.Thread(target=self._work, args=(slot, pool.jobs, key), daemon=True)
                    self._busy[slot] = key, thread
                    thread.start()
            pool.running = [key for key, _ in self._busy.values()]
            pool.pid, pool.host = os.getpid(), platform.node()
            if before != (pool.waiting, pool.running, pool.pid):
                pool.write(self.places)
            if not pool.waiting and not self._busy:
                os.close(lock)
                return False
            return True

    def _is_free(self, task: TrainingTask) -> bool:
        """Whether nobody works on it: somebody by hand, or what a killed supervisor has left."""
        locks = [task.key, *(one.key for one in task.evaluations)]
        mine = any(key == task.key for key, _ in self._busy.values())
        return (
            not mine
            and not any(is_held(self.places.lock(key)) for key in locks)
            and not RunLock(task.directory).is_held()
        )

    def _work(self, slot: int, jobs: int, key: str) -> None:
        """The training, then its evaluations. The plan is read again for each: it may have got new ones."""
        try:
            environment = surroundings(slot, jobs)
            self._train(slot, read_tasks(self.places.root)[key], environment)
            tried: set[str] = set()
            while not self._stop.is_set() and (task := read_tasks(self.places.root).get(key)) and task.is_complete():
                due = [one for one in task.due() if one.key not in tried]
                if not due:
                    return
                tried.add(due[0].key)
                log = self.places.log(due[0].row, due[0].seed)
                self._run(slot, due[0].key, log, due[0].command(task.directory), environment)
        except Exception:
            _say(f"{key}: {traceback.format_exc()}")

    def _train(self, slot: int, task: TrainingTask, environment: dict[str, str]) -> None:
        """Starts it again as long as it was interrupted by others and gets on."""
        best, fruitless = _newest_step(task.directory), 0
        while not self._stop.is_set() and not task.is_complete():
            log = self.places.log(task.row, task.seed)
            status = self._run(slot, task.key, log, task.command(), environment)
            step = _newest_step(task.directory)
            fruitless = 0 if step > best else fruitless + 1
            best = max(best, step)
            if status == 0 and not task.is_complete():
                _write_down_no_run(self.places, task)
            if status != REQUEUE_EXIT_CODE or fruitless == WITHOUT_PROGRESS:
                return

    def _run(self, slot: int, key: str, log: Path, arguments: Sequence[str], environment: dict[str, str]) -> int | None:
        process = Process(self.places, key, log, working_folder(self.places.root), environment)
        self._processes[slot] = process
        try:
            status = process.run(arguments, self._stop.is_set)
        finally:
            del self._processes[slot]
        _say(f"{key}: status {status} ({log.name})")
        return status


def surroundings(slot: int, jobs: int) -> dict[str, str]:
    """The environment of a task: a share of the processors, or a GPU of its own."""
    found = dict(os.environ)
    named = found.get("CUDA_VISIBLE_DEVICES")
    gpus = [str(i) for i in range(torch.cuda.device_count())] if named is None else [g for g in named.split(",") if g]
    if not gpus:
        found.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // jobs)))
    elif len(gpus) > 1 and jobs > 1:
        found["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
    return found


def _write_down_no_run(places: Places, task: TrainingTask) -> None:
    """Writes down that a training has ended well and left no complete run where the study looks for it: it cannot be evaluated."""
    path = places.record(task.key)
    record = read_record(path)
    if record is not None:
        error = f"the training ended well, and there is no complete run in {task.directory}: nothing is evaluated"
        replace(record, error=error).write(path)
        _say(f"{task.key}: {error}")


def _newest_step(run: Path) -> int:
    found = saved(run / "checkpoints")
    return step_of(found[-1]) if found else -1


def _say(what: str) -> None:
    print(f"{now()} {platform.node()} {os.getpid()}: {what}", flush=True)


if __name__ == "__main__":
    Supervisor(Path(sys.argv[1])).run()
