"""Where a run is in W&B: its address, or the command that sends it there."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from difflab.files import write_json
from difflab.reading import FileError, read_json
from difflab.runs.wandb_description import Description

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
