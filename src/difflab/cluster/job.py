"""A run as one job of SLURM, which starts itself again until the run is complete: `launcher=slurm`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from difflab.cluster.launcher import Launcher
from difflab.cluster.slurm import SlurmExecutor, load_profile

DURATION = re.compile(r"(\d+-)?\d+(:\d+){0,2}")
DOCTOR = 'srun "${srun_options[@]}" "${container[@]}" "$python" -m difflab doctor "$@" "${arguments[@]}" || finish $?'
WITHOUT_DETECTION = ("bash", "interactive")
"""Names of jobs that Lightning takes for an interactive shell."""


class SlurmJob(Launcher):
    """Submits the command as a job that starts itself again until the run is complete.

    Args:
        nodes: Nodes of the job.
        gpus_per_node: GPUs of each node; one process per GPU.
        processes_per_node: null: as many as GPUs; a number for training without GPUs.
        cpus_per_process: Processors for the process and its data workers.
        memory_per_node: As 64G, or a number of megabytes; null for the cluster's default.
        time: Limit of one start, as 12:00:00 or 2-00:00:00; the run goes on in the next start.
        margin: Seconds before the end of a start at which the run is told to save.
        profile: The cluster: a name in slurm/profiles, or a path that ends with .yaml.
        job_name: null: the run's name.
        folder: For logs, scripts and what is known of each start; must be seen by all nodes.
        options: More options of sbatch, as ["--mail-type=END"].
        doctor: true examines the environment from all processes first, and ends the job if training cannot work.
        dry_run: true prints the script instead.
    """

    makes_arrays = True

    def __init__(
        self,
        nodes: int,
        gpus_per_node: int,
        processes_per_node: int | None,
        cpus_per_process: int,
        memory_per_node: str | int | None,
        time: str | int,
        margin: int,
        profile: str,
        job_name: str | None,
        folder: str,
        options: Sequence[str],
        doctor: bool,
        dry_run: bool,
    ):
        self.processes_per_node = processes_per_node or gpus_per_node or 1
        for name, value in {
            "nodes": nodes,
            "processes_per_node": self.processes_per_node,
            "cpus_per_process": cpus_per_process,
        }.items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"launcher.{name}={value}: expected a whole number, at least 1")
        if gpus_per_node and self.processes_per_node != gpus_per_node:
            raise ValueError(
                f"launcher.processes_per_node={processes_per_node} with launcher.gpus_per_node={gpus_per_node}: each GPU "
                "has one process; leave processes_per_node out"
            )
        if not DURATION.fullmatch(str(time)):
            raise ValueError(
                f"launcher.time={time}: expected HH:MM:SS or D-HH:MM:SS, for example 12:00:00 for twelve hours"
            )
        if seconds(str(time)) <= margin:
            raise ValueError(
                f"launcher.time={time} is not longer than run.margin={margin}, the seconds before its end at which each start saves: "
                "give more time or a smaller margin"
            )
        if job_name in WITHOUT_DETECTION:
            raise ValueError(
                f"launcher.job_name={job_name}: Lightning takes a job of that name for an interactive shell"
            )
        self.nodes = nodes
        self.gpus_per_node = gpus_per_node
        self.cpus_per_process = cpus_per_process
        self.memory_per_node = memory_per_node
        self.time = str(time)
        self.margin = int(margin)
        self.profile = load_profile(profile)
        self.job_name = job_name
        self.folder = Path(folder).resolve()
        self.options = list(options)
        self.doctor = doctor
        self.dry_run = dry_run

    def processes(self, here: int) -> int:
        return self.nodes * self.processes_per_node

    def launch(self, work: Callable[[], float | None], overrides: Sequence[str], name: str) -> None:
        """Submits; the work is done by the job."""
        executor = self.executor(self.folder, name)
        words = [word for word in overrides if not re.match(r"\+*launcher[.=]", word)]
        executor.settings = [f"set -- {shlex.join(words)}"]
        if self.dry_run:
            print(executor.script())
            return
        job = executor.submit_script().job_id
        log = self.folder / f"{job}.log"
        print(f"submitted job {job}: {self.nodes} x {self.processes_per_node} processes, time limit {self.time}")
        print(f"log     {log}")
        print(f"watch   squeue -j {job}; tail -F {log}")
        print(f"cancel  scancel {job}    (the same command goes on with the run)")

    def executor(self, folder: Path, name: str, array: int = 0) -> SlurmExecutor:
        """An executor for jobs of this size on this cluster.

        Args:
            folder: For logs, scripts and what is known of each start.
            name: Of the run, for people.
            array: Tasks of a job array, 0 for a single job.
        """
        executor = SlurmExecutor(folder)
        executor.update_parameters(
            job_name=self.job_name or "difflab-" + name.replace("/", "-"),
            nodes=self.nodes,
            ntasks_per_node=self.processes_per_node,
            cpus_per_task=self.cpus_per_process,
            gpus_per_node=self.gpus_per_node or None,
            mem=None if self.memory_per_node is None else str(self.memory_per_node),
            time=self.time,
            stderr_to_stdout=True,
            wckey=None,
            setup=[*self.profile.shell(), *([DOCTOR] if self.doctor else [])],
            additional_parameters={
                "signal": f"USR1@{self.margin}",
                "output": f"{folder}/{'%A_%a' if array else '%j'}.log",
            },
            **self.profile.named(),
        )
        if array:
            executor.parameters["map_count"] = array
        executor.options = [*self.profile.sbatch, *map(str, self.options)]
        return executor


def seconds(limit: str) -> int:
    """Seconds of a time limit as SLURM reads it: M, M:S, H:M:S, D-H, D-H:M or D-H:M:S."""
    days, dash, rest = limit.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    units = (3600, 60, 1) if dash or len(parts) == 3 else (60, 1)
    return int(days or 0) * 86400 + sum(part * unit for part, unit in zip(parts, units, strict=False))
