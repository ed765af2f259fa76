"""A run as one SLURM job: slurm/train.sbatch with a cluster's lines in it, submitted."""

from __future__ import annotations

import difflib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from difflab.cluster.launcher import Launcher
from difflab.files import write_text
from difflab.launch.slurm.files import slurm_directory
from difflab.launch.slurm.profile import load_profile
from difflab.reading import shown

DURATION = re.compile(r"(\d+-)?\d+(:\d+){0,2}")
EXAMINATION = (
    'srun "${srun_options[@]}" "${container[@]}" "$python" -m difflab doctor "$@" "${arguments[@]}" || judged $?'
)
WITHOUT_DETECTION = ("bash", "interactive")


class SubmissionError(ValueError):
    """SLURM does not take the job; the message says what to change."""


class SlurmJob(Launcher):
    """Submits the command as a job that starts itself again until the run is complete.

    nodes               of the job
    gpus_per_node       GPUs of each node; one process per GPU
    processes_per_node  null: as many as GPUs; a number for training without GPUs
    cpus_per_process    for the process and its data workers
    memory_per_node     as 64G, or a number of megabytes; null for the cluster's default
    time                limit of one start, as 12:00:00 or 2-00:00:00; the run goes on in the next start
    margin              seconds before the end of a start at which the run is told to save
    profile             the cluster: a name in slurm/profiles, or a path that ends with .yaml
    job_name            null: the run's name
    folder              for logs, scripts and what is known of each attempt; must be seen by all nodes
    options             more options of sbatch, as ["--mail-type=END"]
    doctor              true examines the environment from all processes first, and ends the job if training cannot work
    dry_run             true prints the script instead
    """

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
        script = self.script([o for o in overrides if not re.match(r"\+*launcher[.=]", o)], name)
        if self.dry_run:
            print(script)
            return
        job = self.submit(script)
        log = self.folder / f"{job}.log"
        write_text(self.folder / f"{job}.sbatch", script)
        print(f"submitted job {job}: {self.nodes} x {self.processes_per_node} processes, time limit {self.time}")
        print(f"log     {log}")
        print(f"watch   squeue -j {job}; tail -F {log}")
        print(f"cancel  scancel {job}    (the same command goes on with the run)")

    def script(self, arguments: Sequence[str], name: str) -> str:
        """The batch script of a run."""
        return self.filled(
            "train.sbatch", name, [quoted("--output", f"{self.folder}/%j.log")], [f"set -- {shlex.join(arguments)}"]
        )

    def filled(self, template: str, name: str, more_options: Sequence[str], more_settings: Sequence[str]) -> str:
        """slurm/<template> with options, settings and setup in the places that it names."""
        options = [
            quoted("--job-name", self.job_name or "difflab-" + name.replace("/", "-")),
            f"--nodes={self.nodes}",
            f"--ntasks-per-node={self.processes_per_node}",
            f"--cpus-per-task={self.cpus_per_process}",
            f"--time={self.time}",
            f"--signal=USR1@{self.margin}",
        ]
        if self.gpus_per_node:
            options.append(f"--gpus-per-node={self.gpus_per_node}")
        if self.memory_per_node:
            options.append(f"--mem={self.memory_per_node}")
        options += [*more_options, *self.profile.options(), *map(str, self.options)]
        for option in options:  # quotes hold a line break together for a shell, not for a line that is a comment to it
            if any(ord(sign) < 32 or ord(sign) == 127 for sign in option):
                raise SubmissionError(
                    f"launcher=slurm: {shown(option)} holds a line break or control character, which would make a line of the batch "
                    "script of its own: leave it out"
                )
        lines = {
            "options": [f"#SBATCH {option}" for option in options],
            "settings": [
                f"DIFFLAB_PYTHON={shlex.quote(sys.executable)}",
                f"DIFFLAB_JOBS={shlex.quote(str(self.folder))}",
                *more_settings,
            ],
            "setup": [*self.profile.shell(), *([EXAMINATION] if self.doctor else [])],
        }
        text = (slurm_directory() / template).read_text(encoding="utf-8")
        for place, inserted in lines.items():
            marker = f"# <{place}>"
            if text.count(f"{marker}\n") != 1:
                raise ValueError(f"{slurm_directory()}/{template}: the line {marker!r} must be there, once")
            text = text.replace(f"{marker}\n", "\n".join([marker, *inserted]) + "\n")
        return text

    def submit(self, script: str) -> str:
        """The number of the job."""
        if shutil.which("sbatch") is None:
            raise SubmissionError(
                "launcher=slurm: there is no sbatch here; submit from a login node of the cluster, or look at the script "
                "by launcher.dry_run=true"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["sbatch", "--parsable"], input=script, capture_output=True, encoding="utf-8", errors="replace"
        )
        if done.returncode:
            said = " ".join(done.stderr.split())
            raise SubmissionError(f"sbatch refuses the job: {said}{self._partition_hint(said)}")
        return done.stdout.strip().split(";")[0]

    def _partition_hint(self, said: str) -> str:
        """The partitions that there are, if that was the trouble."""
        if "partition" not in said:
            return ""
        known = subprocess.run(
            ["sinfo", "-h", "-o", "%R"], capture_output=True, encoding="utf-8", errors="replace"
        ).stdout.split()
        asked = next((o.partition("=")[2] for o in self.profile.options() if o.startswith("--partition=")), "")
        near = difflib.get_close_matches(asked, known, n=1)
        return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(set(known)))}"


def quoted(option: str, value: str) -> str:
    """option=value as one word of an #SBATCH line, which sbatch splits as a shell does, also if a path has spaces."""
    return f"{option}={shlex.quote(value)}"


def seconds(limit: str) -> int:
    """Of a time limit as SLURM reads it: M, M:S, H:M:S, D-H, D-H:M or D-H:M:S."""
    days, dash, rest = limit.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    units = (3600, 60, 1) if dash or len(parts) == 3 else (60, 1)
    return int(days or 0) * 86400 + sum(part * unit for part, unit in zip(parts, units, strict=False))
