"""What the processes of a job leave behind for whoever decides whether the job starts again.

$DIFFLAB_JOB/run                          the run's directory
$DIFFLAB_JOB/attempts/<n>/<rank>.json     how a process of the n-th start ended, if it could still say so
$DIFFLAB_JOB/attempts/<n>/agreed-<topic>  what process 0 has chosen for all

Outside of a job that slurm/train.sbatch has started nothing is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from difflab.files import write_json, write_text


@dataclass(frozen=True)
class ProcessEnd:
    """How a process ended.

    step    optimizer steps done, None if training had not begun or the step does not matter
    error   "" if it ended as it should
    """

    rank: int
    host: str
    exit_code: int
    step: int | None
    error: str


def record_run(directory: str | Path) -> None:
    """Says which run the job works on."""
    job = _job()
    if job is not None:
        write_text(job / "run", str(Path(directory).resolve()))


def record_end(exit_code: int, step: int | None = None, error: str = "") -> None:
    """Says how this process ends. The first word counts: it is nearest to the cause."""
    job = _job()
    if job is None:
        return
    rank = _rank()
    path = attempt_directory(job, _start()) / f"{rank}.json"
    if path.exists():
        return
    end = ProcessEnd(rank, os.environ.get("SLURMD_NODENAME", platform.node()), exit_code, step, error[:2000])
    write_json(path, asdict(end), indent=None)


def agreed_in_job(topic: str, choose: Callable[[], str], patience: float = 300.0) -> str | None:
    """What process 0 chooses, for all processes of this start; None outside of a job. Before the processes are connected."""
    job = _job()
    if job is None:
        return None
    path = attempt_directory(job, _start()) / f"agreed-{topic}"
    if _rank() == 0:
        write_text(path, choose())
    deadline = time.monotonic() + patience
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"process 0 has not written {path} in {patience:.0f} s: do all nodes see that folder?")
        time.sleep(0.1)
    return path.read_text(encoding="utf-8")


@contextlib.contextmanager
def ends_recorded() -> Iterator[None]:
    """Records how what is done inside ends."""
    try:
        yield
    except SystemExit as exit_:
        record_end(exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None))
        raise
    except BaseException as error:
        record_end(1, error=f"{type(error).__name__}: {error}")
        raise
    record_end(0)


def process_ends(job: Path, attempt: int) -> list[ProcessEnd]:
    """What the processes of a start have said, in order of ranks."""
    ends = [
        ProcessEnd(**json.loads(path.read_text(encoding="utf-8")))
        for path in attempt_directory(job, attempt).glob("*.json")
    ]
    return sorted(ends, key=lambda end: end.rank)


def attempt_directory(job: Path, attempt: int) -> Path:
    return job / "attempts" / str(attempt)


def _rank() -> int:
    return int(os.environ.get("SLURM_PROCID", "0"))


def _start() -> int:
    """How many times the job has been requeued."""
    return int(os.environ.get("SLURM_RESTART_COUNT", "0"))


def _job() -> Path | None:
    return Path(os.environ["DIFFLAB_JOB"]) if "DIFFLAB_JOB" in os.environ else None
