"""What a study keeps of its execution: <plan.root>/_study/."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock


@dataclass(frozen=True)
class Places:
    """root   of the plan

    _study/plan.json          the tasks (tasks.py)
    _study/preregistration.json   what was fixed before the first result, later changes, and looks (preregistration.py)
    _study/pool.json          of the local pool: who works, what waits
    _study/jobs.json          what was submitted to SLURM
    _study/tasks/<key>.json   how a task ended; <key>.lock is held while it runs; <number>.sh is a training as a job array needs it
    _study/logs/              <row>-seed<k>.log, and the pool's own
    _study/slurm/             of the jobs: logs of their beginning, scripts, attempts
    """

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "_study"

    @property
    def plan(self) -> Path:
        return self.folder / "plan.json"

    @property
    def preregistration(self) -> Path:
        return self.folder / "preregistration.json"

    @property
    def pool(self) -> Path:
        return self.folder / "pool.json"

    @property
    def supervisor(self) -> Path:
        """Held by the pool's supervisor while it lives."""
        return self.folder / "supervisor.lock"

    @property
    def jobs(self) -> Path:
        return self.folder / "jobs.json"

    @property
    def tasks(self) -> Path:
        return self.folder / "tasks"

    @property
    def slurm(self) -> Path:
        return self.folder / "slurm"

    @property
    def pool_log(self) -> Path:
        return self.folder / "logs" / "pool.log"

    def log(self, row: str, seed: int) -> Path:
        return self.folder / "logs" / f"{row}-seed{seed}.log"

    def record(self, key: str) -> Path:
        return self.tasks / f"{key}.json"

    def lock(self, key: str) -> Path:
        return self.tasks / f"{key}.lock"

    def writing(self) -> FileLock:
        """For the moment in which a file of the study is read, changed and written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / "writing.lock", timeout=60)

    def launching(self) -> FileLock:
        """For one launch, retry or cancel at a time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / "launching.lock", timeout=120)


def now() -> str:
    """Such times can be compared as texts."""
    return datetime.now(UTC).isoformat(timespec="seconds")
