"""What process 0 chooses for all processes of a run: its directory, and the state from which it goes on."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from difflab.reading import parse_json

if TYPE_CHECKING:
    from difflab.runs.directory import RunDirectory

PATIENCE = 30.0
"""Seconds that a file system may show one machine an older state than another."""


class OlderStateError(RuntimeError):
    """This machine does not see what process 0 sees.

    Attributes:
        exit_code: Of a command that finds it so: a fault of the machine.
    """

    exit_code = 1


def chosen_directory(folder: str, name: str, seed: int, restart: bool) -> str:
    """Chooses the run's directory. Processes that Lightning, torchrun or a job start use the one that the first process has chosen.

    Args:
        folder: Of the runs of this name.
        name: The run's identity.
        seed: Of the run.
        restart: Whether the run begins anew beside what is there.
    """
    from difflab.distributed.meeting import meeting
    from difflab.runs.names import attempt_directory

    def choose() -> str:
        return str(attempt_directory(folder, name, seed, restart))

    return meeting().agree(f"directory of {folder}/{name}", choose, lasting=True)


def chosen_end(run: RunDirectory) -> bool:
    """Whether the run is complete, as process 0 sees it."""
    from difflab.distributed.meeting import meeting

    return bool(meeting().agree(f"end of {run.path}", lambda: "complete" if run.complete.exists() else ""))


def chosen_rollbacks(run: RunDirectory) -> int:
    """How often the run has gone back, as process 0 sees it."""
    from difflab.distributed.meeting import meeting
    from difflab.runs.saved_checkpoints import rollback_count

    return int(meeting().agree(f"detours of {run.path}", lambda: str(rollback_count(run))))


def chosen_checkpoint(
    directory: Path, unfit: Callable[[Path], str] | None = None, before: Callable[[], None] | None = None
) -> Path | None:
    """The newest whole checkpoint that process 0 finds, once this machine sees the same; None without one.

    Args:
        directory: Of the checkpoints.
        unfit: Says why a whole checkpoint is not used; "" for one that is.
        before: What process 0 does first.

    Raises:
        OlderStateError: This machine sees another file of that name, or none, although it has waited.
    """
    from difflab.distributed.meeting import meeting
    from difflab.runs.saved_checkpoints import newest, table_of
    from difflab.strict_json import dumps

    def choose() -> str:
        if before is not None:
            before()
        path = newest(directory, unfit)
        return "" if path is None else dumps([path.name, table_of(path)])

    chosen = meeting().agree(f"newest checkpoint of {directory}", choose)
    if not chosen:
        return None
    name, table = parse_json(chosen, "the checkpoint that process 0 found", list)
    deadline = time.monotonic() + PATIENCE
    while (found := table_of(directory / name)) != table:
        if time.monotonic() > deadline:
            seen = "is not there" if found is None else "has another content"
            raise OlderStateError(
                f"{directory / name}, from which process 0 goes on, {seen} after {PATIENCE:.0f} s: the file system shows this machine "
                "another state"
            )
        time.sleep(0.5)
    return directory / name


@cache
def own_code() -> str:
    """A hash of difflab's own code, as it lies on this machine."""
    import difflab

    digest = hashlib.sha256()
    root = Path(difflab.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:10]
