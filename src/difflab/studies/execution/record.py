"""How a task of the pool, or an evaluation of a job, began and ended: _study/tasks/<key>.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from difflab.files import write_json
from difflab.reading import read_json


@dataclass(frozen=True)
class Record:
    """where       host, or the job
    pid          of its process group on that host, 0 if others look after it
    ended        "" while it runs, and for ever if its supervisor was killed
    exit_code    -n: by signal n; None while it runs
    error        the last error line
    cancelled    whether it was told to stop
    """

    where: str
    pid: int
    started: str
    ended: str = ""
    exit_code: int | None = None
    error: str = ""
    cancelled: bool = False

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))


def read_record(path: Path) -> Record | None:
    try:
        return Record(**read_json(path))
    except (OSError, ValueError, TypeError):
        return None
