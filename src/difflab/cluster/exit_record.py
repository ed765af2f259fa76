"""What the processes of a SLURM job leave behind for the requeue decision (difflab.cluster.requeue).

$DIFFLAB_JOB/run                       the run's directory
$DIFFLAB_JOB/attempts/<n>/<rank>.json  how a process of the n-th start ended, if it could still say so

Outside of a job that slurm/train.sbatch has started nothing is written.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from difflab.distributed.placement import host
from difflab.files import write_json, write_text
from difflab.reading import read_json
from difflab.runtime.rank import launched_rank


@dataclass(frozen=True)
class ProcessEnd:
    """How a process ended.

    Attributes:
        step: Optimizer steps done, None if training had not begun or the step does not matter.
        error: "" if it ended as it should.
        nodes: Machines whose fault it is, if that is known.
        local: Whether what went wrong may be so on this machine alone, as a file that is not there.
    """

    rank: int
    host: str
    exit_code: int
    step: int | None
    error: str
    nodes: tuple[str, ...] = ()
    local: bool = False


def record_run(directory: str | Path) -> None:
    """Records which run the job works on."""
    job = _job()
    if job is not None:
        write_text(job / "run", str(Path(directory).resolve()))


def record_end(
    exit_code: int, step: int | None = None, error: str = "", nodes: Sequence[str] = (), local: bool = False
) -> None:
    """Records this process's exit reason. Later calls are ignored: the first report is closest to the root cause."""
    job = _job()
    if job is None:
        return
    rank = launched_rank()
    path = attempt_directory(job, _start()) / f"{rank}.json"
    if path.exists():
        return
    end = ProcessEnd(rank, host(), exit_code, step, error[:2000], tuple(nodes), local)
    write_json(path, asdict(end), indent=None)


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
    """Reads what the processes of a start have recorded, in order of ranks."""
    ends = [_end_of(read_json(path)) for path in attempt_directory(job, attempt).glob("*.json")]
    return sorted(ends, key=lambda end: end.rank)


def _end_of(row: dict[str, Any]) -> ProcessEnd:
    row["nodes"] = tuple(row["nodes"])
    return ProcessEnd(**row)


def attempt_directory(job: Path, attempt: int) -> Path:
    return job / "attempts" / str(attempt)


def _start() -> int:
    """How many times the job has been requeued."""
    return int(os.environ.get("SLURM_RESTART_COUNT", "0"))


def _job() -> Path | None:
    return Path(os.environ["DIFFLAB_JOB"]) if "DIFFLAB_JOB" in os.environ else None
