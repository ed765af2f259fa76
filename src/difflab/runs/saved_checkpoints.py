"""The checkpoints that lie in a run's directory, and the choices among them that the processes of a run make together."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from difflab.files import make_folder, move, write_json
from difflab.reading import FileError, parse_json, read_json
from difflab.reading.archives import check_sums, open_zip
from difflab.runs.directory import RunDirectory
from difflab.runs.listing import identity_of

EVALUATED_STEP = "judged_step"
"""Entry of a checkpoint: after how many steps the weights were evaluated last."""


_log = logging.getLogger(__name__)

_NAME = re.compile(r"step-(\d{1,15})\.ckpt")

MARK = "difflab_run"
"""Entry of a checkpoint: which run wrote it. Earlier versions wrote none."""


def newest(directory: str | Path, unfit: Callable[[Path], str] | None = None) -> Path | None:
    """The newest checkpoint that verifies. One that does not is named in a warning and left where it is.

    Args:
        directory: Of a run's checkpoints.
        unfit: Says why a whole checkpoint is not used; "" for one that is.
    """
    directory = Path(directory)
    if unfit is not None:
        for path in sorted(set(directory.glob("*.ckpt")) - set(saved(directory)) - {directory / "best.ckpt"}):
            _log.warning("%s has no name of a checkpoint that a run writes, and is not used", path)
    for path in reversed(saved(directory)):
        problem = (unfit(path) if unfit else "") if is_whole(path) else "is damaged"
        if not problem:
            return path
        _log.warning("%s %s and is not used", path, problem)
    return None


def mark_of(directory: Path) -> str:
    """What marks a run's checkpoints: its identity, which later attempts share.

    Args:
        directory: Of the checkpoints.
    """
    return identity_of(directory.absolute().parent)


def unfit_for(state: Mapping[str, Any]) -> Callable[[Path], str]:
    """Why a checkpoint is not one of a run, for `newest`: it is another program's, model's or run's.

    Args:
        state: Name -> tensor of the run's module.
    """
    mine = _shapes(state)

    def unfit(path: Path) -> str:
        from difflab.reading.arrays import read_checkpoint

        try:
            found = read_checkpoint(path, mapped=True)
        except ValueError as error:
            return f"cannot be read ({error})"
        if not isinstance(found, dict) or not {"state_dict", "global_step", "loops", "callbacks"} <= found.keys():
            return "is no checkpoint of training"
        if found["global_step"] != step_of(path):
            return f"holds step {found['global_step']}"
        if found.get(MARK, mark_of(path.parent)) != mark_of(path.parent):
            return f"is of another run, {found[MARK]},"
        if other := sorted(mine.items() ^ _shapes(found["state_dict"]).items()):
            return f"is of another model ({other[0][0]} differs)"
        return ""

    return unfit


def set_aside(directory: Path, used: Path | None) -> None:
    """Gives whole files another name that stand where training will write and are not of the run: they are somebody's.

    Args:
        directory: Of a run's checkpoints.
        used: What `newest` has found.
    """
    for path in saved(directory):
        if (used is None or step_of(path) > step_of(used)) and is_whole(path):
            move(path, path.with_suffix(".foreign"))


def is_whole(path: Path) -> bool:
    """Whether every entry of the archive agrees with its checksum."""
    try:
        check_sums(path)
    except FileError:
        return False
    return True


def table_of(path: Path) -> str | None:
    """A hash of the archive's table: names, sizes and checksums of its entries. None where there is no such archive."""
    try:
        os.listdir(path.parent)  # a network's file system looks again, then
        with open_zip(path) as archive:
            table = [(entry.filename, entry.file_size, entry.CRC) for entry in archive.infolist()]
    except (FileError, OSError):
        return None
    return hashlib.sha256(repr(table).encode()).hexdigest()[:16]


def saved(directory: Path) -> list[Path]:
    """The checkpoints of a run, oldest first. What has another name is not one of them."""
    return sorted(
        (path for path in directory.glob("step-*.ckpt") if _NAME.fullmatch(path.name) and path.is_file()), key=step_of
    )


def step_of(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _shapes(state: Any) -> dict[str, tuple[int, ...]]:
    return {str(name): tuple(getattr(value, "shape", ())) for name, value in dict(state).items()}


def roll_back(run: RunDirectory, checkpoints: int) -> int:
    """Moves the newest checkpoints aside, so that the next start begins at an older one, and counts the rollback; returns its step.

    With no checkpoint left training begins anew, at step 0.
    """
    found = saved(run.checkpoints)
    make_folder(run.diverged)
    for path in found[-checkpoints:]:
        move(path, run.diverged / path.name)
    left = saved(run.checkpoints)
    step = step_of(left[-1]) if left else 0
    write_json(_file(run), [*_rollbacks(run), {"to_step": step}], indent=None)
    return step


def rollback_count(run: RunDirectory) -> int:
    """How often this run has gone back: each time it goes on with other noise than before."""
    return len(_rollbacks(run))


def _rollbacks(run: RunDirectory) -> list[dict[str, int]]:
    return (
        read_json(_file(run), list) if _file(run).exists() else []
    )  # what cannot be read is no 0: the noise depends on it


def _file(run: RunDirectory) -> Path:
    return run.path / "detours.json"


TIMEOUT = 30.0
"""Seconds that a file system may show one machine an older state than another."""


class OlderStateError(RuntimeError):
    """This machine does not see what process 0 sees.

    Attributes:
        exit_code: Of a command that finds it so: a fault of the machine.
    """

    exit_code = 1


def agreed_directory(folder: str, name: str, seed: int, restart: bool) -> str:
    """Chooses the run's directory. Processes that Lightning, torchrun or a job start use the one that the first process has chosen.

    Args:
        folder: Of the runs of this name.
        name: The run's identity.
        seed: Of the run.
        restart: Whether the run begins anew beside what is there.
    """
    from difflab.distributed.meeting import meeting
    from difflab.runs.listing import attempt_directory

    def choose() -> str:
        return str(attempt_directory(folder, name, seed, restart))

    return meeting().agree(f"directory of {folder}/{name}", choose, lasting=True)


def agreed_end(run: RunDirectory) -> bool:
    """Whether the run is complete, as process 0 sees it."""
    from difflab.distributed.meeting import meeting

    return bool(meeting().agree(f"end of {run.path}", lambda: "complete" if run.complete.exists() else ""))


def agreed_rollbacks(run: RunDirectory) -> int:
    """How often the run has gone back, as process 0 sees it."""
    from difflab.distributed.meeting import meeting

    return int(meeting().agree(f"detours of {run.path}", lambda: str(rollback_count(run))))


def agreed_checkpoint(
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
    from difflab.reading.json import dumps

    def choose() -> str:
        if before is not None:
            before()
        path = newest(directory, unfit)
        return "" if path is None else dumps([path.name, table_of(path)])

    chosen = meeting().agree(f"newest checkpoint of {directory}", choose)
    if not chosen:
        return None
    name, table = parse_json(chosen, "the checkpoint that process 0 found", list)
    deadline = time.monotonic() + TIMEOUT
    while (found := table_of(directory / name)) != table:
        if time.monotonic() > deadline:
            seen = "is not there" if found is None else "has another content"
            raise OlderStateError(
                f"{directory / name}, from which process 0 goes on, {seen} after {TIMEOUT:.0f} s: the file system shows this machine "
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
