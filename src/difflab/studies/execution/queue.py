"""What of a study waits or runs: in this machine's pool of workers, and in the queue of SLURM."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from difflab.files import write_json
from difflab.reading import read_json
from difflab.studies.execution.folder import StudyFolder, is_held

TRAIN, EVALUATE = "train", "evaluate"

EARLIER = "supervisor.lock"
"""Held by the pool of earlier versions of difflab, one process for all tasks of the study."""


@dataclass(frozen=True)
class Place:
    """Where something waits or runs.

    Attributes:
        where: The place, for people.
        running: True if running, False if pending.
    """

    where: str
    running: bool


@dataclass(frozen=True)
class Queue:
    """What of a study waits or runs in the pool or in SLURM, by a training's key.

    Attributes:
        trainings: Trainings that wait or run.
        evaluations: Trainings whose evaluations wait or run, or will follow the training.
    """

    trainings: Mapping[str, Place] = field(default_factory=dict)
    evaluations: Mapping[str, Place] = field(default_factory=dict)


def ask(root: Path) -> Queue:
    """Asks the pool and SLURM, as far as the study has been given to them."""
    folder = StudyFolder(root.resolve())
    kinds: dict[str, dict[str, Place]] = {TRAIN: {}, EVALUATE: {}}
    for kind, key, where, running in in_slurm(folder):
        kinds[kind][key] = Place(where, running)
    pool = PoolFile.read(folder)
    if pool.lives:
        here = {key: Place("pool", False) for key in pool.waiting} | {key: Place("pool", True) for key in pool.running}
        kinds[TRAIN] |= here
        kinds[EVALUATE] |= here
    return Queue(kinds[TRAIN], kinds[EVALUATE])


@dataclass
class PoolFile:
    """What the workers have to do: _study/pool.json, read, changed and written under `StudyFolder.writing()`.

    Workers enter themselves, and are believed as long as they live.

    Attributes:
        jobs: Tasks at a time.
        grace: Seconds between being told to stop and being killed.
        host: The machine of the workers.
        waiting: Keys of trainings, the next one first.
        pids: Slot -> process of its worker. (Slots are texts, as JSON has them.)
        tasks: Slot -> key of the training that its worker trains or evaluates.
        pid: Process of an earlier version's pool; `running` are the keys that it worked on.
    """

    jobs: int = 1
    grace: float = 60.0
    host: str = ""
    waiting: list[str] = field(default_factory=list)
    pids: dict[str, int] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)
    pid: int = 0
    running: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder: StudyFolder) -> PoolFile:
        """The file without what is left of workers that have died."""
        if not folder.pool.exists():
            return cls()
        pool = cls(**read_json(folder.pool))
        if is_held(folder.path / EARLIER):
            return pool
        alive = [slot for slot in pool.pids if is_held(folder.worker(int(slot)))]
        pool.pids = {slot: pool.pids[slot] for slot in alive}
        pool.tasks = {slot: key for slot, key in pool.tasks.items() if slot in alive}
        pool.pid, pool.running = 0, list(pool.tasks.values())
        return pool

    @property
    def lives(self) -> bool:
        """Whether somebody works on what waits."""
        return bool(self.pids or self.pid)

    def write(self, folder: StudyFolder) -> None:
        write_json(folder.pool, asdict(self))


@dataclass(frozen=True)
class Submission:
    """An array of SLURM: _study/jobs.json.

    Attributes:
        job: Its number.
        kind: train or evaluate.
        submitted: When (ISO).
        tasks: Index in the array -> key of the training.
        cancelled: Whether difflab has cancelled it.
    """

    job: str
    kind: str
    submitted: str
    tasks: dict[str, str]
    cancelled: bool = False


def read_submissions(folder: StudyFolder) -> list[Submission]:
    """Reads what was submitted, the oldest first."""
    return [Submission(**row) for row in read_json(folder.jobs, list)] if folder.jobs.exists() else []


def add_submission(folder: StudyFolder, submission: Submission) -> None:
    with folder.writing():
        _write(folder, [*read_submissions(folder), submission])


def mark_cancelled(folder: StudyFolder, jobs: set[str]) -> None:
    with folder.writing():
        _write(folder, [replace(s, cancelled=s.cancelled or s.job in jobs) for s in read_submissions(folder)])


def newest(submissions: list[Submission], kind: str) -> dict[str, tuple[Submission, str]]:
    """The last submission of a kind of each training, by its key, with the index in it."""
    return {key: (s, index) for s in submissions if s.kind == kind for index, key in s.tasks.items()}


def in_slurm(folder: StudyFolder) -> Iterator[tuple[str, str, str, bool]]:
    """(kind, key, where, whether it runs) of what waits or runs in SLURM.

    Where no SLURM answers everything that has been submitted counts as waiting, so that nothing is submitted twice.
    """
    submissions = [s for s in read_submissions(folder) if s.tasks]
    if not submissions:
        return
    there = _squeue([s.job for s in submissions])
    for submission in submissions:
        for index, key in submission.tasks.items():
            name = f"job {submission.job}_{index}"
            if there is None:
                yield submission.kind, key, f"{name} (squeue does not answer here)", False
            elif found := there.get((submission.job, index)):
                state, reason, nodes = found
                running = state != "PENDING"
                yield submission.kind, key, f"{name} on {nodes}" if running else f"{name} ({reason})", running


def _squeue(jobs: list[str]) -> dict[tuple[str, str], tuple[str, str, str]] | None:
    """(job, index) -> (state, reason, nodes) of what has not ended; None if nobody answers."""
    if shutil.which("squeue") is None:
        return None
    command = ["squeue", "--noheader", "--array", "--jobs", ",".join(jobs), "--format=%F|%K|%T|%r|%N"]
    try:
        asked = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=60)
    except subprocess.TimeoutExpired:
        return None
    if asked.returncode:
        return {} if "Invalid job id" in asked.stderr else None  # SLURM forgets jobs some minutes after their end
    lines = [line.split("|") for line in asked.stdout.splitlines()]
    return {(job, index): (state, reason, nodes) for job, index, state, reason, nodes in lines}


def _write(folder: StudyFolder, submissions: list[Submission]) -> None:
    write_json(folder.jobs, [asdict(s) for s in submissions])
