"""What a W&B run is: its name, notes and tags, and its place: its address, or the command that sends it there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from difflab.files import write_json
from difflab.reading import FileError, read_json
from difflab.runs.wandb.offline_file import records

TAG_LENGTH = 64
"""W&B takes no longer ones."""

_NAME = re.compile(r"(?!\.{1,2}$)[^/\\#?%:\x00-\x1f]+")
"""What W&B takes for a project or an entity."""


@dataclass(frozen=True)
class Said:
    """A name, notes and tags of a W&B run.

    Attributes:
        name: None where nothing was said.
        notes: None where nothing was said.
        tags: Without repetition.
    """

    name: str | None = None
    notes: str | None = None
    tags: tuple[str, ...] = ()

    def over(self, earlier: Said) -> Said:
        """This, with what it leaves open as it was said earlier, and the tags of both."""
        return Said(self.name or earlier.name, self.notes or earlier.notes, merged(earlier.tags, self.tags))


@dataclass(frozen=True)
class Description:
    """A W&B run as the user and difflab describe it.

    Attributes:
        project: Of W&B.
        entity: Of W&B; None for the user's default.
        id: Of the W&B run.
        group: The user's own; None for the row of a study, and else the run's name.
        job_type: Of W&B.
        said: What the user says at this start.
    """

    project: str
    entity: str | None
    id: str
    group: str | None
    job_type: str
    said: Said

    def __post_init__(self) -> None:
        for key, value in (("project", self.project), ("entity", self.entity or "mine")):
            if not _NAME.fullmatch(str(value)):
                raise ValueError(f"logger.wandb.{key}={value}: W&B has no such names; leave out / \\ # ? % : and ..")
        for tag in self.said.tags:
            if not 1 <= len(tag) <= TAG_LENGTH:
                raise ValueError(f"logger.wandb.tags: W&B takes tags of 1 to {TAG_LENGTH} characters, and not {tag!r}")

    def labels(self, params: Mapping[str, Any]) -> dict[str, str]:
        """What a run called <project>/<row> is in its study; empty for others.

        Args:
            params: Of the run, what loggers are told of it.
        """
        study, _, row = _run_name(params).partition("/")
        return {"study": study, "row": row} if row and study == self.project else {}

    def settings(self, params: Mapping[str, Any], earlier: Said, online: bool) -> dict[str, Any]:
        """Arguments of `wandb.init` for a start.

        Each offline piece says all of it again. Online the server keeps what was said there, also by hand, and is told what is new.

        Args:
            params: Of the run.
            earlier: What its earlier starts have said.
            online: Whether W&B is.
        """
        run = _run_name(params)
        default = Said(f"{run}-seed{params.get('seed')}-{self.id}") if earlier.name is None else Said()
        said = self.said.over(default if online else default.over(earlier))
        group = self.group if self.group not in (None, run) else self.labels(params).get("row", run)
        place = {"project": self.project, "entity": self.entity, "id": self.id, "resume": "allow"}
        return place | {"group": group, "job_type": self.job_type, "name": said.name, "notes": said.notes}

    def tags(self, params: Mapping[str, Any], earlier: Iterable[str]) -> tuple[str, ...]:
        """Those of earlier starts, the user's, and what the run is in its study.

        Args:
            params: Of the run.
            earlier: The tags that the W&B run has.
        """
        labels = list(self.labels(params).values())
        return merged(earlier, self.said.tags, [*labels, f"seed {params['seed']}"] if labels else [])


def tags_of(value: str | Iterable[Any] | None) -> tuple[str, ...]:
    """Tags as a configuration has them: a text, or a list."""
    return (value,) if isinstance(value, str) else tuple(map(str, value or ()))


def merged(*tags: Iterable[str]) -> tuple[str, ...]:
    """Tags of several origins, each once, in their order; those that are too long are cut."""
    return tuple(dict.fromkeys(tag[:TAG_LENGTH] for some in tags for tag in some))


def said_earlier(directory: str | Path) -> Said:
    """What earlier starts have said, from the files that W&B keeps of them.

    Args:
        directory: The folder `wandb` of a run. Each file is read up to its first step.
    """
    found = Said()
    for file in sorted(Path(directory).glob("*run-*/*.wandb"), key=lambda path: path.parent.name.rpartition("run-")[2]):
        for _, record in records(file):
            kind = record.WhichOneof("record_type")
            if kind == "history":
                break
            if kind == "run":
                found = Said(record.run.display_name, record.run.notes, tuple(record.run.tags)).over(found)
    return found


def _run_name(params: Mapping[str, Any]) -> str:
    return str(params.get("run", {}).get("name", ""))


_FILE = "place.json"


@dataclass(frozen=True)
class WandbPlace:
    """A W&B run of a run directory.

    Attributes:
        id: Of the W&B run; empty where no start has said it.
        project: Of W&B.
        entity: Of W&B; None for the user's default.
        url: Of the W&B run's page; None where no start was online.
        unsent: Folders of starts that were recorded offline and not uploaded yet, the oldest first.
    """

    id: str
    project: str
    entity: str | None
    url: str | None
    unsent: tuple[Path, ...]

    @property
    def sync_command(self) -> str | None:
        """The command that uploads what is offline; None where nothing is."""
        if not self.unsent:
            return None
        folder = self.unsent[0].parent
        if len(self.unsent) > 1 and len(self.unsent) == len(list(folder.glob("offline-run-*"))):
            return f"wandb sync {shlex.quote(str(folder))}/offline-run-*"
        return f"wandb sync {shlex.join(map(str, self.unsent))}"

    @property
    def address(self) -> str:
        """The page of the W&B run, or its project and id where it was never online."""
        return self.url or "/".join(part for part in (self.entity, self.project, self.id) if part)

    def lines(self) -> list[str]:
        """For a person, as the end of training prints it."""
        said = [f"W&B      {self.address}{'' if self.url else ' (offline)'}"]
        return said + ([f"         to upload it: {self.sync_command}"] if self.unsent else [])


def write_place(directory: str | Path, description: Description, experiment: Any, online: bool) -> None:
    """Writes down where a W&B run is.

    Args:
        directory: The run's, whose folder `wandb` it is written to.
        description: Of the W&B run.
        experiment: The W&B run.
        online: Whether the server knows it.
    """
    earlier = wandb_place(directory)
    content = {
        "id": description.id,
        "project": description.project,
        "entity": experiment.entity if online else description.entity,
        "url": experiment.url if online else earlier and earlier.url,
    }
    write_json(Path(directory) / "wandb" / _FILE, content)


def keeps_best(directory: str | Path) -> bool:
    """Whether the summary of a run's W&B run has `<score>.last` beside the best: earlier versions called the last value <score>."""
    return (Path(directory) / "wandb" / _FILE).exists()


def wandb_place(directory: str | Path) -> WandbPlace | None:
    """Where a run is in W&B; None for one that was never mirrored.

    Args:
        directory: The run's.
    """
    folder = Path(directory) / "wandb"
    unsent = tuple(
        piece
        for piece in sorted(folder.glob("offline-run-*"))
        if any(not file.with_name(f"{file.name}.synced").exists() for file in piece.glob("*.wandb"))
    )
    try:
        said = read_json(folder / _FILE) if (folder / _FILE).exists() else {}
    except FileError:
        said = {}
    if not said and not unsent:
        return None
    known = {key: value for key in ("id", "project", "entity", "url") if isinstance(value := said.get(key), str)}
    name = known.get("id") or (unsent[-1].name.rpartition("-")[2] if unsent else "")
    return WandbPlace(name, known.get("project", ""), known.get("entity"), known.get("url"), unsent)
