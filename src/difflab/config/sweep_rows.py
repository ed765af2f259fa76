"""The rows of a sweep (-m): each runs whatever became of the others, and leaves a note of how it ended.

A note is a file, <folder>/<number>.json, since a row may be run by another process or on another machine, and may be killed.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difflab.files import write_json
from difflab.reading import read_json
from difflab.runtime.process import REQUEUE_EXIT_CODE, end_with_parent, launched_rank
from difflab.runtime.signals import signals

if TYPE_CHECKING:
    from omegaconf import DictConfig


class Ended(SystemExit):
    """A command ends, and the user has been told why.

    Attributes:
        status: The exit status.
        reason: Why, in one line.
        others_too: Whether what ends this command ends those that would follow it in the same process: a signal, or the end of an
            allocation.
    """

    def __init__(self, status: int, reason: str, others_too: bool = False):
        super().__init__(status)
        self.status, self.reason, self.others_too = status, reason, others_too


DIVERGED = 3
"""Exit status of a run whose loss was not finite."""

_STOP = "stop"
"""File in the folder of the notes: no further row is begun."""


_directory: ContextVar[Path | None] = ContextVar("directory of the run that a row trains", default=None)


@dataclass(frozen=True)
class RowEnd:
    """What became of a row.

    Attributes:
        number: Of the row in the sweep, from 0.
        overrides: Its command line.
        status: Exit status that it would have had by itself; None while it runs, and for ever if its process was killed.
        reason: Why it did not come to its end, in one line.
        run: The run's directory, "" if there was none yet.
        begun: Whether it had its turn.
        process: Number of the process that runs it.
    """

    number: int
    overrides: tuple[str, ...]
    status: int | None = None
    reason: str = ""
    run: str = ""
    begun: bool = True
    process: int = 0


class RowFailedError(Exception):
    """A row that a search learns nothing of."""


class Row:
    """A command's function as the task of a sweep.

    Args:
        function: Runs one configuration; returns its score, if it has one.

    Attributes:
        folder: Of the notes. It is known once Hydra has composed the sweep.
        ended: What became of the rows that this process runs.
    """

    def __init__(self, function: Callable[[DictConfig], Any]):
        self.function = function
        self.folder = Path()
        self.ended: dict[int, RowEnd] = {}
        self._process = os.getpid()
        self.__module__ = function.__module__  # by which Hydra names the job

    def __call__(self, config: DictConfig) -> Any:
        if os.getpid() != self._process:
            end_with_parent(signal.SIGTERM)  # saved
        with signals.held():
            return self._run(config)

    def _run(self, config: DictConfig) -> Any:
        from hydra.core.hydra_config import HydraConfig

        hydra = HydraConfig.get()
        row = RowEnd(int(hydra.job.num), tuple(hydra.overrides.task), process=os.getpid())
        apart = "DIFFLAB_JOB" in os.environ  # a job of its own, which slurm's verdict may start again
        if signals.reason is not None and not apart:
            stop(self.folder)
        if is_stopped(self.folder):
            self._note(replace(row, begun=False))
            return self._without_score(row, hydra.sweeper)
        self._note(row)
        _directory.set(None)
        try:
            score = self.function(config)
        except Ended as end:
            row = replace(row, status=end.status, reason=end.reason)
            if end.others_too and not apart:
                stop(self.folder)
        except SystemExit as end:
            row = replace(row, status=end.code if isinstance(end.code, int) else 1)
        except Exception as error:
            if launched_rank() != 0:
                raise  # the others wait for this process: its end tells them
            traceback.print_exc()
            row = replace(row, status=1, reason=_one_line(error))
        else:
            self._note(replace(row, status=0))
            return score
        self._note(replace(row, run=str(_directory.get() or "")))
        if apart and row.status in (1, REQUEUE_EXIT_CODE):
            sys.exit(row.status)
        return self._without_score(row, hydra.sweeper)

    def _note(self, row: RowEnd) -> None:
        if launched_rank() == 0:
            self.ended[row.number] = row
            with suppress(OSError):  # a full disk: the row itself tells it
                write_json(self.folder / f"{row.number}.json", asdict(row))

    @staticmethod
    def _without_score(row: RowEnd, sweeper: Any) -> float | None:
        """What a search is told: divergence is as bad as can be, anything else says nothing of the point."""
        if row.status == DIVERGED:
            return float("inf")
        if "max_failure_rate" in sweeper:
            raise RowFailedError(row.reason or "not begun")
        return None


def works_on(directory: Path) -> None:
    """Says which run the row trains."""
    _directory.set(directory)


def read_rows(folder: Path) -> dict[int, RowEnd]:
    """The notes by number; one that cannot be read is not there."""
    found = {}
    for path in folder.glob("*.json"):
        try:
            row = read_json(path)
            end = RowEnd(**{**row, "overrides": tuple(row["overrides"])})
        except (OSError, ValueError, TypeError, KeyError):
            continue
        found[end.number] = end
    return found


def stop(folder: Path) -> None:
    """No row is begun from now on."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _STOP).touch()


def is_stopped(folder: Path) -> bool:
    return (folder / _STOP).exists()


def swept(rows: Sequence[Sequence[str]]) -> set[str]:
    """The words that not all rows share."""
    every = [set(row) for row in rows]
    return set().union(*every) - set.intersection(*every) if every else set()


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
