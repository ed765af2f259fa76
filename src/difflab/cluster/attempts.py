"""What is known of a start of a job that has ended: what its processes leave in $DIFFLAB_JOB, and what srun says.

The requeue decision (difflab.cluster.requeue) is made by it:

$DIFFLAB_JOB/run                       the run's directory
$DIFFLAB_JOB/attempts/<n>/<rank>.json  how a process of the n-th start ended, if it could still say so

Outside of a job that slurm/train.sbatch has started nothing is written.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from difflab.distributed.placement import host
from difflab.files import write_json, write_text
from difflab.reading import read_json
from difflab.runtime.process import REQUEUE_EXIT_CODE, launched_rank


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


HOPELESS = {
    2: "the command, the data or what they need are wrong",
    3: "training diverged",
    4: "a checkpoint could not be written",
}
"""Exit statuses after which the same command would end in the same way."""

SILENT = "silent"
"""Word of a message that accuses a process which no longer answers: once may be chance, twice its node is left out."""


@dataclass(frozen=True)
class Attempt:
    """How a start ended.

    Attributes:
        failed: False if it was interrupted and saved, or completed the run.
        step: Optimizer steps done when it ended, None if nobody could say.
        checkpoint: Step of the newest checkpoint, -1 without one.
        node: Where the first process ended that ended badly, "" if unknown.
        reason: The last error of that process.
        blamed: Machines that could not do what the others could.
    """

    failed: bool
    step: int | None
    checkpoint: int
    node: str
    reason: str
    blamed: tuple[str, ...] = ()


def first_death(errors: str) -> tuple[str, int | None, str]:
    """(node, rank, what) of the first process that srun says ended badly; ("", None, "") if it says nothing."""
    for line in errors.splitlines():
        found = re.match(r"srun: error: (\S+): tasks? (\d+)\S*: (.*)", line)
        if found:
            node = found[1] if "[" not in found[1] else ""  # several at once: nobody was first
            return node, int(found[2]), found[3]
    return "", None, ""


def deaths(errors: str) -> list[str]:
    """The nodes on which srun says that a process ended badly, as SLURM writes them: node2, node[3-4]."""
    return [found[1] for found in re.finditer(r"^srun: error: (\S+): tasks? \S+: ", errors, re.MULTILINE)]


def describe_preparation(what: str, errors: str, checkpoint: int) -> Attempt:
    """A start in which something had to be done on every node before training, and failed on some.

    Args:
        what: Was done.
        errors: What was said.
        checkpoint: Step of the newest checkpoint.
    """
    nodes = tuple(dict.fromkeys(node for names in deaths(errors) for node in hostnames(names)))
    words = [
        line
        for line in errors.splitlines()
        if line.strip() and not line.startswith(("srun:", "slurmstepd: error: ***"))
    ]
    reason = f"{what} fails" + (f": {' '.join(words[-1].split())[:300]}" if words else "")
    some = len(nodes) < int(os.environ.get("SLURM_JOB_NUM_NODES", "1"))
    return Attempt(True, None, checkpoint, nodes[0] if nodes and some else "", reason, nodes if some else ())


def hostnames(names: str) -> list[str]:
    """node[2-3] -> node2, node3, as SLURM reads it."""
    if "[" not in names:
        return [names]
    try:
        asked = subprocess.run(
            ["scontrol", "show", "hostnames", names], capture_output=True, encoding="utf-8", check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return [names]
    return asked.stdout.split()


def describe(
    job: Path, number: int, status: int, ends: Sequence[ProcessEnd], checkpoint: int, complete: bool = False
) -> Attempt:
    """Collects what is known of a start.

    Args:
        job: Folder of the job, $DIFFLAB_JOB.
        number: How many times the job had been requeued before.
        status: Exit status of srun.
        ends: What the processes have said.
        checkpoint: Step of the newest checkpoint, -1 without one.
        complete: Whether the run has reached its end: whatever a process said afterwards, nothing failed.
    """
    path = attempt_directory(job, number) / "errors"
    node, rank, death = first_death(path.read_text(errors="replace", encoding="utf-8") if path.exists() else "")
    failures = [end for end in ends if end.exit_code not in (0, REQUEUE_EXIT_CODE)]
    first = next((end for end in failures if rank in (end.rank, None)), None)
    killed = bool(death) and not death.startswith("Exited") and not death.startswith("Terminated")
    interrupted = (
        status == REQUEUE_EXIT_CODE
        or any(end.exit_code == REQUEUE_EXIT_CODE for end in ends)
        or death
        == f"Exited with exit code {REQUEUE_EXIT_CODE}"  # at the very beginning, before it could write anything down
    )
    steps = [end.step for end in failures if end.step is not None]
    if complete or (status == 0 and not failures and not interrupted):
        return Attempt(False, checkpoint if checkpoint >= 0 else None, checkpoint, "", "complete")
    if interrupted and not failures and not killed:
        return Attempt(False, checkpoint if checkpoint >= 0 else None, checkpoint, "", "interrupted and saved")
    told = next((end for end in failures if end.nodes), None) or next(
        (end for end in failures if SILENT in end.error), None
    )
    alone = [end for end in failures if end.local]
    if told is None and alone and len(alone) < max(len(ends), int(os.environ.get("SLURM_NTASKS", "1"))):
        told = replace(alone[0], nodes=tuple(dict.fromkeys(end.host for end in alone)))
    if told is not None:
        accused = told.nodes[0] if told.nodes else ""
        return Attempt(
            True, told.step, checkpoint, accused, told.error, () if SILENT in told.error else tuple(told.nodes)
        )
    refused = [end for end in failures if end.exit_code in HOPELESS and end.step is None]
    return Attempt(
        failed=True,
        step=None if refused else max(steps, default=checkpoint if checkpoint >= 0 and not steps else None),
        checkpoint=checkpoint,
        node=node or (first.host if first else ""),
        reason=(first.error if first else "") or death or f"status {status}",
    )


def attempt_of(row: dict[str, Any]) -> Attempt:
    """Reads a start from a row of history.json."""
    row["blamed"] = tuple(row.get("blamed", ()))
    return Attempt(**row)
