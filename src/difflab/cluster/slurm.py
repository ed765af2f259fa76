"""Submission to SLURM by submitit: of a run (`launcher=slurm`), of the rows of a sweep (`hydra/launcher=slurm`) and of a study.

What is particular about a cluster is data: slurm/profiles/<name>.yaml, a `Profile`.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import submitit
from submitit.core.core import Job
from submitit.core.utils import DelayedSubmission, JobPaths

import difflab
from difflab.cluster.launcher import SubmissionError
from difflab.files import move, write_text
from difflab.reading import read_yaml, shown
from difflab.suggest import suggestion

_PACKAGE = Path(difflab.__file__).parent


@dataclass(frozen=True)
class Profile:
    """A cluster.

    Attributes:
        partition: As sbatch knows it, like account, qos and constraint; "" for none.
        modules: Names for `module load`.
        environment: Variables that the job sets.
        network_interface: By which nodes talk to each other, as ib0 or hsn; "" for any.
        container: Command put before python, as `apptainer exec --nv image.sif`.
        srun: More options of srun, as --container-image=... of pyxis.
        scratch: A folder on each node's own disk, for stage_in; may use the job's variables ($SLURM_JOB_ID).
        stage_in: Key of the configuration -> file or folder: copied to every node's scratch, where the key then points.
        setup: More lines of shell, run on the first node before training.
        sbatch: More options of sbatch, as --exclusive.
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    modules: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    network_interface: str = ""
    container: str = ""
    srun: list[str] = field(default_factory=list)
    scratch: str = ""
    stage_in: dict[str, str] = field(default_factory=dict)
    setup: list[str] = field(default_factory=list)
    sbatch: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for key in fields(self):
            expected = {"list[str]": list, "dict[str, str]": dict}.get(str(key.type), str)
            if not isinstance(getattr(self, key.name), expected):
                kind = {list: "a list", dict: "names with values", str: "text"}[expected]
                raise ValueError(f"{key.name}: {getattr(self, key.name)!r} should be {kind}")
        if self.stage_in and not self.scratch:
            raise ValueError("stage_in needs scratch: say to which folder of the nodes' disks data are copied")

    def named(self) -> dict[str, str]:
        """Options of sbatch that submitit knows by name."""
        known = {key: getattr(self, key) for key in ("partition", "account", "qos", "constraint")}
        return {key: value for key, value in known.items() if value}

    def shell(self) -> list[str]:
        """Lines of the batch script that prepare training; its variables srun_options, container and arguments are extended."""
        lines = []
        if self.modules:
            load = f"module load {shlex.join(self.modules)}"  # on the first node: where it fails, the others are asked as well
            there = f"everywhere {shlex.quote(load)} bash -c {shlex.quote(load)}"
            lines.append(f"{load} || {{ {there}; finish 2 {shlex.quote(load)}; }}")
        variables = {str(key): str(value) for key, value in self.environment.items()}
        if self.network_interface:
            variables |= dict.fromkeys(("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"), self.network_interface)
        lines += [f"export {key}={shlex.quote(value)}" for key, value in variables.items()]
        if self.srun:
            lines.append(f"srun_options+=({shlex.join(self.srun)})")
        if self.container:
            lines.append(f"container=({self.container})")
        for key, source in self.stage_in.items():
            place = f'"{self.scratch}/{Path(source).name}"'
            copy = f'mkdir -p "{self.scratch}" && cp -ru {shlex.quote(source)} "{self.scratch}/"'
            lines.append(f"everywhere {shlex.quote(f'stage_in of {key}')} bash -c {shlex.quote(copy)}")
            lines.append(f"arguments+=({key}={place})")
        return [*lines, *self.setup]


def slurm_directory() -> Path:
    """slurm/: inside the installed package, or at the root of the source tree."""
    installed = _PACKAGE / "slurm"
    return installed if installed.is_dir() else _PACKAGE.parents[1] / "slurm"


def load_profile(name: str) -> Profile:
    """slurm/profiles/<name>.yaml, or any file if the name ends with .yaml."""
    folder = slurm_directory() / "profiles"
    path = Path(name) if name.endswith(".yaml") else folder / f"{name}.yaml"
    if not path.is_file():
        names = sorted(file.stem for file in folder.glob("*.yaml"))
        raise ValueError(
            f"launcher.profile={name}: there is no {path}; {_near(name, names)}. A profile may also be a path that ends with .yaml"
        )
    content: Any = read_yaml(path) or {}
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected lines of the form key: value")
    known = [key.name for key in fields(Profile)]
    for key in content:
        if key not in known:
            raise ValueError(f"{path}: unknown key {key!r}; {_near(str(key), known)}")
    try:
        return Profile(**content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _near(word: str, names: list[str]) -> str:
    return suggestion(word, names)


class SlurmExecutor(submitit.SlurmExecutor):
    """submitit's executor with difflab's batch script, slurm/train.sbatch: the job starts itself again until its work is done.

    submitit writes the options of sbatch, pickles functions and follows jobs. It requeues a pickled function when its own handler is told
    that time is up, and nothing else. What difflab requeues, and without which nodes, is decided when a start has ended, whatever ended it
    (difflab.cluster.requeue). A command is not pickled: the script holds it in plain sight, to be read and run by hand.

    Args:
        folder: For scripts, logs and what is known of each start; seen by all nodes.
        max_num_timeout: Taken since submitit gives it; how often a job starts again is decided by its progress.

    Attributes:
        options: More options of sbatch, as they are typed; they overrule all others.
        settings: Lines of shell that begin the script, as `set -- <arguments of train.py>`.
        setup: Lines of shell that come before the work, once difflab's functions are there.
        remedy: What else a user can do where sbatch refuses the job.
    """

    remedy = ""

    def __init__(self, folder: str | Path, max_num_timeout: int = 0):
        super().__init__(folder, max_num_timeout)
        self.options: list[str] = []
        self.settings: list[str] = []
        self.setup: list[str] = []

    @classmethod
    def affinity(cls) -> int:
        """Scripts can be written anywhere; that sbatch is missing is said when a job is submitted."""
        return 2

    @property
    def scripts(self) -> Path:
        """The folder in which <job>.sbatch and <job>/ are."""
        return JobPaths.get_first_id_independent_folder(self.folder)

    def script(self, command: str = "") -> str:
        """The batch script.

        Args:
            command: Arguments of python, quoted for a shell; "" for `-m difflab train` with the arguments that `settings` say.

        Raises:
            SubmissionError: An option would make a line of its own.
        """
        return self._make_submission_file_text(command, "")

    def submit_script(self) -> Job[Any]:
        """Submits the script of `settings`, of which no function is pickled."""
        return self._submit_command("")

    def _make_submission_file_text(self, command: str, uid: str) -> str:
        for option in (*_texts(self.parameters), *self.options):
            if any(ord(sign) < 32 or ord(sign) == 127 for sign in option):
                raise SubmissionError(
                    f"launcher=slurm: {shown(option)} holds a line break or control character, which would make a line of the batch "
                    "script of its own: leave it out"
                )
        lines = super()._make_submission_file_text(command, uid).splitlines()
        srun = shlex.join(self.parameters.get("srun_args") or ())
        program = ["export SUBMITIT_EXECUTOR=slurm", f"program=({command})", "arguments=()"] if command else []
        inserted = {
            "options": [line for line in lines if line.startswith("#SBATCH")]
            + [f"#SBATCH {one}" for one in self.options],
            "settings": [
                f"DIFFLAB_PYTHON={shlex.quote(sys.executable)}",
                f"DIFFLAB_JOBS={shlex.quote(str(self.scripts))}",
                *self.settings,
                *program,
            ],
            "setup": [
                *([f"srun_options+=({srun})"] if srun else []),
                *(self.parameters.get("setup") or ()),
                *self.setup,
            ],
        }
        return _filled(slurm_directory() / "train.sbatch", inserted)

    @property
    def _submitit_command_str(self) -> str:
        return f"-u -m submitit.core._submit {shlex.quote(str(self.folder))}"

    def _submit_command(self, command: str) -> Job[Any]:
        """submitit's own prints what it raises, and leaves a link behind."""
        if shutil.which("sbatch") is None:
            raise SubmissionError(
                "launcher=slurm: there is no sbatch here; submit from a login node of the cluster, or look at the script "
                "by launcher.dry_run=true"
            )
        written = self.scripts / f"{uuid.uuid4().hex}.sbatch"
        write_text(written, self.script(command))
        try:
            done = subprocess.run(
                ["sbatch", "--parsable", str(written)], capture_output=True, encoding="utf-8", errors="replace"
            )
            if done.returncode:
                raise SubmissionError(self._refusal(" ".join(done.stderr.split())))
            number = done.stdout.strip().split(";")[0]
            with suppress(OSError):  # it is submitted, whatever its script is called
                move(written, self.scripts / f"{number}.sbatch")
        finally:
            written.unlink(missing_ok=True)
        return self.job_class(self.folder, number, list(range(self._num_tasks())))

    def _internal_process_submissions(self, delayed_submissions: list[DelayedSubmission]) -> list[Job[Any]]:
        """One array, also of a single function; submitit's own makes the script of an array by its own class."""
        self.scripts.mkdir(parents=True, exist_ok=True)
        pickles = [self.scripts / f"{uuid.uuid4().hex}.pkl" for _ in delayed_submissions]
        for submission, path in zip(delayed_submissions, pickles, strict=True):
            submission.dump(path)
        self.parameters["map_count"] = len(pickles)
        array = self._submit_command(self._submitit_command_str)
        tasks = list(range(array.num_tasks))
        jobs = [self.job_class(self.folder, f"{array.job_id}_{index}", tasks) for index in range(len(pickles))]
        for job, path in zip(jobs, pickles, strict=True):
            job.paths.move_temporary_file(path, "submitted_pickle")
        return jobs

    def _refusal(self, said: str) -> str:
        """Why sbatch refuses, in its words, with the partitions that there are if that was the trouble."""
        hint, asked = "", str(self.parameters.get("partition") or "")
        if "partition" in said and shutil.which("sinfo"):
            known = subprocess.run(
                ["sinfo", "-h", "-o", "%R"], capture_output=True, encoding="utf-8", errors="replace"
            ).stdout.split()
            hint = f"; {suggestion(asked, sorted(known))}"
        return f"sbatch refuses the job{' array' if 'map_count' in self.parameters else ''}: {said}{hint}{self.remedy}"


def _filled(template: Path, inserted: Mapping[str, Sequence[str]]) -> str:
    """A template with lines in the places that it names."""
    text = template.read_text(encoding="utf-8")
    for place, lines in inserted.items():
        marker = f"# <{place}>"
        if text.count(f"{marker}\n") != 1:
            raise ValueError(f"{template}: the line {marker!r} must be there, once")
        text = text.replace(f"{marker}\n", "\n".join([marker, *lines]) + "\n")
    return text


def _texts(parameters: Mapping[str, Any]) -> Iterator[str]:
    """The values that become options of sbatch."""
    for key, value in parameters.items():
        if isinstance(value, Mapping):
            yield from _texts(value)
        elif key != "setup" and value is not None:
            yield str(value)
