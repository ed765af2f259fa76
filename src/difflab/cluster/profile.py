"""What is particular about a cluster. A profile is data: slurm/profiles/<name>.yaml."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import difflab
from difflab.reading import read_yaml
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
