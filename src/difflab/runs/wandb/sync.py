"""Offline W&B runs, uploaded from a machine that has a way out: each piece once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock, Timeout

from difflab.reading import FileError, parse_json
from difflab.runs.lock import RunLock
from difflab.runs.wandb.offline_file import cut_torn_tail, holds_a_run
from difflab.runs.wandb.service import WandbError, check_login

COMMAND = (sys.executable, "-m", "wandb")

UPLOADED, EARLIER, RUNNING, FAILED = "uploaded", "uploaded earlier", "running, skipped", "failed"

HOW_SHOWN = ("WANDB_MODE", "WANDB_SILENT", "WANDB_QUIET")
"""Of the environment: what would keep `wandb sync` from sending, or from saying what went wrong."""


@dataclass(frozen=True)
class RunUpload:
    """What became of a run.

    Attributes:
        outcome: UPLOADED, EARLIER, RUNNING or FAILED.
        uploaded: Its offline directories that were sent now: one for each start of the run.
        problem: Of the first directory that could not be sent; later ones wait for it.
    """

    run: Path
    outcome: str
    uploaded: tuple[str, ...] = ()
    problem: str = ""

    def __str__(self) -> str:
        return f"{self.run}: {self.outcome}" + (f": {self.problem}" if self.problem else "")


@dataclass(frozen=True)
class Uploads:
    """Of all runs, by path."""

    runs: tuple[RunUpload, ...]

    @property
    def failed(self) -> list[RunUpload]:
        return [run for run in self.runs if run.outcome == FAILED]

    def __str__(self) -> str:
        if not self.runs:
            return "there are no offline runs: those were logged online, or trained with logger=none"
        counts = Counter(run.outcome for run in self.runs)
        said = ", ".join(
            f"{counts[outcome]} {outcome}" for outcome in (UPLOADED, EARLIER, RUNNING, FAILED) if counts[outcome]
        )
        return f"{len(self.runs)} run{'s' * (len(self.runs) > 1)}: {said}" + (
            "; the same command tries those that failed again" if self.failed else ""
        )


def sync(
    root: str | Path,
    tell: Callable[[RunUpload], None],
    entity: str | None = None,
    command: Sequence[str] = COMMAND,
    workers: int = 4,
    timeout: float = 1800.0,
) -> Uploads:
    """Uploads the offline W&B runs of all run directories below `root`.

    A run that was started again has several offline directories, <run>/wandb/offline-run-<start>-<id>/. They are pieces of one W&B run and
    go up in the order of the starts, and none after one that failed. W&B's own mark, <file>.wandb.synced, says what is there; `wandb sync`
    sets it and exits with 0 though the server refused metrics or pictures, so it is taken back where the output or W&B's log has an error.
    A piece that was cut in the middle is sent again as a whole.

    Args:
        root: The folder of runs.
        tell: Is called with each run that is done.
        entity: Of W&B, if not that of the run or the user.
        command: Of W&B.
        workers: Runs at a time.
        timeout: Seconds for one piece.
    """
    check_login()
    found: dict[Path, list[Path]] = {}
    for piece in sorted(Path(root).glob("**/wandb/offline-run-*")):
        found.setdefault(piece.parent.parent, []).append(piece)
    if not found:
        return Uploads(())
    arguments = (*command, "sync", *(["--entity", entity] if entity else []))
    done = {}
    try:
        with FileLock(Path(root) / ".sync.lock", timeout=0), ThreadPoolExecutor(workers) as pool:
            tasks = [pool.submit(_upload_run, run, pieces, arguments, timeout) for run, pieces in found.items()]
            try:
                for task in as_completed(tasks):
                    done[task.result().run] = task.result()
                    tell(task.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except Timeout:
        raise WandbError(f"another sync of {root} is at work: wait for it, so that nothing is sent twice") from None
    return Uploads(tuple(done[run] for run in found))


def _upload_run(run: Path, pieces: Sequence[Path], arguments: Sequence[str], timeout: float) -> RunUpload:
    if RunLock(run).is_held():
        return RunUpload(run, RUNNING)
    uploaded: list[str] = []
    for piece in pieces:
        for file in sorted(piece.glob("*.wandb")):
            mark = file.with_name(f"{file.name}.synced")
            if mark.exists() or not holds_a_run(file):
                continue
            cut_torn_tail(file)
            problem = _upload(piece, arguments, timeout)
            if not problem and not mark.exists():
                problem = "wandb sync did not say that it is done"
            if problem:
                mark.unlink(missing_ok=True)
                return RunUpload(run, FAILED, tuple(uploaded), f"{piece.name}: {problem}")
            uploaded.append(piece.name)
    return RunUpload(run, UPLOADED if uploaded else EARLIER, tuple(uploaded))


def _upload(piece: Path, arguments: Sequence[str], timeout: float) -> str:
    """What went wrong, or nothing."""
    with TemporaryDirectory() as aside:
        said = Path(aside) / "said"
        environment = {name: value for name, value in os.environ.items() if name not in HOW_SHOWN} | {
            "WANDB_DIR": aside
        }
        with said.open("wb") as out:  # and no pipe, which a child that outlives the command would keep open
            try:
                ended = subprocess.run(
                    [*arguments, str(piece)],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    timeout=timeout,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return f"not done after {timeout:g} s: the server did not answer, or takes more time than that"
            except OSError as error:
                return f"{arguments[0]} cannot be run ({error.strerror})"
        lines = said.read_text(errors="replace", encoding="utf-8").splitlines()
        errors = [line.partition("ERROR ")[2] for line in lines if "ERROR " in line]
        if errors:
            return errors[0]
        if ended.returncode:
            return next(reversed(lines), "") or f"wandb sync exited with {ended.returncode}"
        return next(_lost_files(Path(aside)), "")


def _lost_files(directory: Path) -> Iterator[str]:
    """Of files that W&B gave up: its log alone tells."""
    for log in directory.glob("wandb/logs/*.log"):
        for line in log.read_text(errors="replace", encoding="utf-8").splitlines():
            try:
                entry = parse_json(line, log)
            except FileError:
                continue
            if entry.get("level") == "ERROR" and "UploadTask" in str(entry.get("task")):
                yield entry["msg"].splitlines()[0]
