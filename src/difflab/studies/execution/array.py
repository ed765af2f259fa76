"""A study as job arrays of SLURM: one of trainings, one of evaluations that wait for them."""

from __future__ import annotations

import copy
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from difflab.files import write_text
from difflab.launch.slurm import SlurmJob
from difflab.launch.slurm.job import quoted
from difflab.studies.execution.executor import Executor, LaunchError
from difflab.studies.execution.places import Places, now
from difflab.studies.execution.submissions import (
    EVALUATE,
    TRAIN,
    Submission,
    add_submission,
    in_slurm,
    mark_cancelled,
    read_submissions,
)
from difflab.studies.execution.tasks import TrainingTask

_INDICES = 1001
"""MaxArraySize of SLURM, where it does not tell: indices are smaller."""


class Array(Executor):
    """Each task of the first array trains as a job of train.py would: requeued until its run is complete or hopeless. The task of the
    second array with the same index evaluates all that is drawn from the run, once the first one has ended well.

    training     what a training is given; its `folder` and `job_name` are not used
    evaluation   what the evaluations of a training are given
    limit        tasks of an array that run at a time; 0 for as many as there is room for
    """

    def __init__(self, training: SlurmJob, evaluation: SlurmJob, limit: int = 0):
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise ValueError(f"limit={limit}: expected how many tasks of an array run at a time, 0 for no limit")
        self.limit = limit
        self._training = copy.copy(training)
        self._evaluation = copy.copy(evaluation)
        self._evaluation.doctor = False  # it examines what trains
        self._evaluation.profile = replace(evaluation.profile, stage_in={})  # keys of train.py

    @property
    def waits_for_others(self) -> bool:
        return False

    def submit(self, root: Path, trainings: Sequence[TrainingTask], evaluations: Sequence[TrainingTask]) -> list[str]:
        places, said = Places(root), []
        for folder in (places.tasks, places.slurm, places.log("", 0).parent):
            folder.mkdir(parents=True, exist_ok=True)
        size = _max_array_size()
        for base, tasks in _chunks(trainings, size):
            for task in tasks:
                write_text(places.tasks / f"{task.number}.sh", _frozen(task, places))
            job = self._submit(places, TRAIN, base, tasks, "")
            said.append(f"submitted job {job}: {len(tasks)} trainings")
            evaluated = [task for task in tasks if task.evaluations]
            if evaluated:
                after = self._submit(places, EVALUATE, base, evaluated, job)
                said.append(f"submitted job {after}: their evaluations, each after its training")
        for base, tasks in _chunks(evaluations, size):
            job = self._submit(places, EVALUATE, base, tasks, "")
            said.append(f"submitted job {job}: evaluations of {len(tasks)} trainings")
        return [] if self._training.dry_run else said

    def cancel(self, root: Path) -> list[str]:
        places = Places(root)
        if not read_submissions(places):
            return []
        if shutil.which("scancel") is None:
            raise LaunchError("there is no scancel here: cancel from a login node of the cluster")
        there = list(in_slurm(places))
        tasks = sorted({where.split()[1] for _, _, where, _ in there})
        jobs = {task.partition("_")[0] for task in tasks}
        mark_cancelled(places, jobs)
        if jobs:
            done = subprocess.run(["scancel", *sorted(jobs)], capture_output=True, encoding="utf-8", errors="replace")
            if done.returncode:
                raise LaunchError(f"scancel: {' '.join(done.stderr.split())}")
        return (
            [f"cancelled job {', '.join(sorted(jobs))}: {len(tasks)} tasks; those that run save first"] if jobs else []
        )

    def script(self, places: Places, kind: str, base: int, tasks: Sequence[TrainingTask], after: str) -> str:
        """The batch script of an array.

        base    of the numbers; an index is what a number exceeds it by
        after   the job that it waits for, index by index; "" for none
        """
        job = self._training if kind == TRAIN else self._evaluation
        job.folder, job.job_name = places.slurm, f"difflab-{kind}-{places.root.name}"
        limit = f"%{self.limit}" if self.limit else ""
        options = [
            f"--array={ranges([task.number - base for task in tasks])}{limit}",
            quoted("--output", f"{places.slurm}/%A_%a.log"),
        ]
        if after:
            options += [f"--dependency=aftercorr:{after}", "--kill-on-invalid-dep=yes"]
        number = f"number=$((SLURM_ARRAY_TASK_ID + {base}))"
        if kind == TRAIN:
            own = [number, f'. {shlex.quote(str(places.tasks))}/"$number.sh" || exit', 'exec >> "$log" 2>&1']
        else:
            own = [number, f"study={shlex.quote(str(places.root))}"]
        return job.filled(f"{'train' if kind == TRAIN else 'evaluate'}.sbatch", places.root.name, options, own)

    def _submit(self, places: Places, kind: str, base: int, tasks: Sequence[TrainingTask], after: str) -> str:
        """The job's number."""
        script = self.script(places, kind, base, tasks, after)
        if self._training.dry_run:
            print(script)
            return "<job>"
        when = now()
        job = (self._training if kind == TRAIN else self._evaluation).submit(script)
        add_submission(places, Submission(job, kind, when, {str(task.number - base): task.key for task in tasks}))
        write_text(places.slurm / f"{job}.sbatch", script)
        return job


def ranges(numbers: Sequence[int]) -> str:
    """1,2,3,7 -> 1-3,7, as sbatch reads it."""
    parts = []
    for _, run in groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        parts.append(str(members[0]) if len(members) == 1 else f"{members[0]}-{members[-1]}")
    return ",".join(parts)


def _chunks(tasks: Sequence[TrainingTask], size: int) -> list[tuple[int, list[TrainingTask]]]:
    """(base, tasks whose numbers exceed it by less than `size`)."""
    found: dict[int, list[TrainingTask]] = {}
    for task in tasks:
        found.setdefault(task.number // size * size, []).append(task)
    return sorted(found.items())


def _frozen(task: TrainingTask, places: Places) -> str:
    """The training, to be read by the batch script."""
    arguments = task.command()[3:]  # without -m difflab train
    return f"log={shlex.quote(str(places.log(task.row, task.seed)))}\nset -- {shlex.join(arguments)}\n"


def _max_array_size() -> int:
    if shutil.which("scontrol") is None:
        return _INDICES
    asked = subprocess.run(
        ["scontrol", "show", "config"], capture_output=True, encoding="utf-8", errors="replace", timeout=60
    )
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", asked.stdout, re.MULTILINE)
    return int(found[1]) if found else _INDICES
