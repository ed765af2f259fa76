"""What was submitted to SLURM for a study, and what of it is still there."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from difflab.files import write_json
from difflab.reading import read_json
from difflab.studies.execution.places import Places

TRAIN, EVALUATE = "train", "evaluate"


@dataclass(frozen=True)
class Submission:
    """An array.

    job        its number
    kind       train or evaluate
    tasks      index in the array -> key of the training
    cancelled  by us
    """

    job: str
    kind: str
    submitted: str
    tasks: dict[str, str]
    cancelled: bool = False


def read_submissions(places: Places) -> list[Submission]:
    """The oldest first."""
    return [Submission(**row) for row in read_json(places.jobs, list)] if places.jobs.exists() else []


def add_submission(places: Places, submission: Submission) -> None:
    with places.writing():
        _write(places, [*read_submissions(places), submission])


def mark_cancelled(places: Places, jobs: set[str]) -> None:
    with places.writing():
        _write(places, [replace(s, cancelled=s.cancelled or s.job in jobs) for s in read_submissions(places)])


def newest(submissions: list[Submission], kind: str) -> dict[str, tuple[Submission, str]]:
    """Key of a training -> its last submission of a kind, with the index in it."""
    return {key: (s, index) for s in submissions if s.kind == kind for index, key in s.tasks.items()}


def in_slurm(places: Places) -> Iterator[tuple[str, str, str, bool]]:
    """(kind, key, where, whether it runs) of what waits or runs in SLURM.

    Where no SLURM answers everything that has been submitted counts as waiting, so that nothing is submitted twice.
    """
    submissions = [s for s in read_submissions(places) if s.tasks]
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


def _write(places: Places, submissions: list[Submission]) -> None:
    write_json(places.jobs, [asdict(s) for s in submissions])
