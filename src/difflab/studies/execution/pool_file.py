"""What the local pool has to do: _study/pool.json. Launches add to it, the supervisor takes from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from difflab.files import write_json
from difflab.reading import read_json
from difflab.studies.execution.holding import is_held
from difflab.studies.execution.places import Places


@dataclass
class PoolFile:
    """Read, changed and written under `Places.writing()`.

    jobs      tasks at a time
    grace     seconds between being told to stop and being killed
    waiting   keys of trainings, the next one first
    running   keys of trainings that are trained or evaluated
    pid, host of the supervisor
    """

    jobs: int = 1
    grace: float = 60.0
    waiting: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    pid: int = 0
    host: str = ""

    @classmethod
    def read(cls, places: Places) -> PoolFile:
        return cls(**read_json(places.pool)) if places.pool.exists() else cls()

    def write(self, places: Places) -> None:
        write_json(places.pool, asdict(self))

    def lives(self, places: Places) -> bool:
        """Whether there is a supervisor; what a dead one has left in the file means nothing."""
        return is_held(places.supervisor)
