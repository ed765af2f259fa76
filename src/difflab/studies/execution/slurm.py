"""A study as job arrays of SLURM: one of trainings, one of evaluations that wait for them."""

from __future__ import annotations

import copy
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from difflab.cluster import SlurmExecutor, SlurmJob
from difflab.cluster.slurm import slurm_directory
from difflab.studies.execution.folder import StudyFolder, now
from difflab.studies.execution.queue import (
    EVALUATE,
    TRAIN,
    Submission,
    add_submission,
    in_slurm,
    mark_cancelled,
    newest,
    read_submissions,
)
from difflab.studies.execution.tasks import (
    OPTIONS,
    Executor,
    LaunchError,
    Planned,
    TrainingTask,
    read_tasks,
)
from difflab.studies.planning.plan_cache import LAUNCHER

_INDICES = 1001
"""MaxArraySize of SLURM, where it does not tell: indices are smaller."""


class SlurmArray(Executor):
    """Submits a job array of trainings and one of evaluations.

    Each task of the first array trains as a job of train.py would: requeued until its run is complete or hopeless. The task of the second
    array with the same index evaluates all that is pending of the run, once the first one has ended well.

    Args:
        training: What a training is given; its `folder` and `job_name` are not used.
        evaluation: What the evaluations of a training are given.
        limit: Tasks of an array that run at a time; 0 for as many as there is room for.
    """

    def __init__(self, training: SlurmJob, evaluation: SlurmJob, limit: int = 0):
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise ValueError(f"limit={limit}: expected how many tasks of an array run at a time, 0 for no limit")
        self.limit = limit
        self._jobs = {TRAIN: copy.copy(training), EVALUATE: copy.copy(evaluation)}
        for job in self._jobs.values():
            job.job_name = None
        self._jobs[EVALUATE].doctor = False  # it examines what trains
        self._jobs[EVALUATE].profile = replace(evaluation.profile, stage_in={})  # keys of train.py

    @classmethod
    def of_words(cls, plan: Planned, words: Sequence[str], limit: int) -> SlurmArray:
        """Arrays of the launcher that a command chooses, the same for trainings and evaluations.

        Args:
            plan: What is launched.
            words: Overrides of train.py that say where: launcher=slurm, launcher.nodes=2.
            limit: Tasks of an array that run at a time.

        Raises:
            ValueError: The launcher makes no arrays.
        """
        from difflab.config.build import build
        from difflab.config.resolve import resolve_row

        command = [word for word in plan.trainings[0].overrides if not word.startswith("run.name=")]
        chosen = words if any(word.startswith(f"{LAUNCHER}=") for word in words) else [f"{LAUNCHER}=slurm", *words]
        job = build(resolve_row([*command, *chosen]).config["launcher"])
        if not job.makes_arrays:
            raise ValueError(f"{' '.join(chosen)}: a study runs on this machine, or with launcher=slurm")
        return cls(job, job, limit)

    @property
    def waits_for_others(self) -> bool:
        return False

    def submit(self, root: Path, trainings: Sequence[TrainingTask], evaluations: Sequence[TrainingTask]) -> list[str]:
        folder, said, size = StudyFolder(root), [], _max_array_size()
        for path in (folder.tasks, folder.slurm, folder.pool_log.parent):
            path.mkdir(parents=True, exist_ok=True)
        trunks = {task.after for task in trainings}
        for tasks in _chunks([task for task in trainings if task.key in trunks], size):
            job = self._submit(folder, TRAIN, tasks, "")
            said.append(f"submitted job {job}: {len(tasks)} trainings from which others go on")
        # they have the same index in both arrays
        in_order = sorted((one for one in trainings if one.key not in trunks), key=lambda task: not task.evaluations)
        for tasks in _chunks(in_order, size):
            job = self._submit(folder, TRAIN, tasks, _jobs_of_trunks(folder, tasks))
            said.append(f"submitted job {job}: {len(tasks)} trainings")
            evaluated = [task for task in tasks if task.evaluations]
            if evaluated:
                after = self._submit(folder, EVALUATE, evaluated, f"aftercorr:{job}")
                said.append(f"submitted job {after}: their evaluations, each after its training")
        for tasks in _chunks(evaluations, size):
            job = self._submit(folder, EVALUATE, tasks, "")
            said.append(f"submitted job {job}: evaluations of {len(tasks)} trainings")
        return [] if self._jobs[TRAIN].dry_run else said

    @staticmethod
    def cancel(root: Path) -> list[str]:
        """Stops what waits and runs of the study in SLURM; runs save. Returns lines that say what was done."""
        folder = StudyFolder(root)
        if not read_submissions(folder):
            return []
        if shutil.which("scancel") is None:
            raise LaunchError("there is no scancel here: cancel from a login node of the cluster")
        tasks = sorted({where.split()[1] for _, _, where, _ in in_slurm(folder)})
        jobs = {task.partition("_")[0] for task in tasks}
        mark_cancelled(folder, jobs)
        if jobs:
            done = subprocess.run(["scancel", *sorted(jobs)], capture_output=True, encoding="utf-8", errors="replace")
            if done.returncode:
                raise LaunchError(f"scancel: {' '.join(done.stderr.split())}")
        return (
            [f"cancelled job {', '.join(sorted(jobs))}: {len(tasks)} tasks; those that run save first"] if jobs else []
        )

    def executor(self, folder: StudyFolder, kind: str, tasks: Sequence[TrainingTask], after: str) -> SlurmExecutor:
        """The executor of an array.

        Args:
            folder: Of the study.
            kind: train or evaluate.
            tasks: In order of their indices.
            after: The job that it waits for, index by index; "" for none.
        """
        executor = self._jobs[kind].executor(folder.slurm, f"{kind}-{folder.root.name}", len(tasks))
        executor.parameters["array_parallelism"] = self.limit or len(tasks)
        if after:
            executor.parameters["dependency"] = after
            executor.parameters["additional_parameters"]["kill-on-invalid-dep"] = "yes"
        lines = [_training(task, folder) if kind == TRAIN else f"key={shlex.quote(task.key)}" for task in tasks]
        executor.settings = [
            "case $SLURM_ARRAY_TASK_ID in",
            *(f"{i}) {line} ;;" for i, line in enumerate(lines)),
            "esac",
        ]
        if kind == TRAIN:
            executor.settings.append('exec >> "$log" 2>&1')
        else:
            executor.settings.append(f"study={shlex.quote(str(folder.root))}")
            executor.setup = (slurm_directory() / "evaluate.sh").read_text(encoding="utf-8").splitlines()
        return executor

    def _submit(self, folder: StudyFolder, kind: str, tasks: Sequence[TrainingTask], after: str) -> str:
        """Submits an array, or prints its script; returns the job's number."""
        executor = self.executor(folder, kind, tasks, after)
        if self._jobs[TRAIN].dry_run:
            print(executor.script())
            return "<job>"
        when = now()
        job = executor.submit_script().job_id
        add_submission(folder, Submission(job, kind, when, {str(i): task.key for i, task in enumerate(tasks)}))
        return job


def _jobs_of_trunks(folder: StudyFolder, tasks: Sequence[TrainingTask]) -> str:
    """The dependency of trainings on those from whose ends they go on; empty where these are complete."""
    known, submitted = read_tasks(folder.root), newest(read_submissions(folder), TRAIN)
    keys = {task.after for task in tasks if task.after in known and not known[task.after].is_complete()}
    jobs = sorted({submitted[key][0].job for key in keys if key in submitted})
    return f"afterok:{':'.join(jobs)}" if jobs else ""


def _training(task: TrainingTask, folder: StudyFolder) -> str:
    """A training for the batch script: its log, and the arguments of train.py."""
    return f"log={shlex.quote(str(folder.log(task.row, task.seed)))}; set -- {shlex.join(task.command()[OPTIONS:])}"


def _chunks(tasks: Sequence[TrainingTask], size: int) -> list[Sequence[TrainingTask]]:
    return [tasks[i : i + size] for i in range(0, len(tasks), size)]


def _max_array_size() -> int:
    if shutil.which("scontrol") is None:
        return _INDICES
    asked = subprocess.run(
        ["scontrol", "show", "config"], capture_output=True, encoding="utf-8", errors="replace", timeout=60
    )
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", asked.stdout, re.MULTILINE)
    return int(found[1]) if found else _INDICES
