"""Loggers that are fed from metrics.jsonl, may fail, and are not waited for: the run directory is the truth."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from difflab.files import WriteError, write_json
from difflab.reading import FileError, read_json
from difflab.runs.metrics_file import MetricsTail

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

Job = Callable[[], object]


class Aside:
    """Does jobs after each other in a thread of its own.

    Args:
        name: Of the thread.
        failed: Called, in the thread, with a job and what it has raised; says whether the thread is to go on.
    """

    def __init__(self, name: str, failed: Callable[[Job, BaseException], bool]):
        self._failed = failed
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def do(self, job: Job) -> None:
        """Has a job done when those before it are."""
        self._jobs.put(job)

    def wait(self, seconds: float) -> bool:
        """Whether all jobs are done, or none will be done any more, after at most so many seconds."""
        done = threading.Event()
        self._jobs.put(done.set)
        while self._thread.is_alive() and not done.is_set() and seconds > 0:
            done.wait(min(seconds, 0.1))
            seconds -= 0.1
        return done.is_set() or not self._thread.is_alive()

    def end(self, seconds: float) -> bool:
        """Takes no more jobs. Whether those that there were are done after at most so many seconds."""
        self._jobs.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        for job in iter(self._jobs.get, None):
            try:
                job()
            except BaseException as error:  # SystemExit, too: W&B ends its process with it
                if not self._failed(job, error):
                    return


_log = logging.getLogger(__name__)

CALLS = ("log_hyperparams", "log_metrics", "log_graph", "save", "after_save_checkpoint", "finalize")
"""What Lightning, its monitors and difflab call of a logger."""


def guarded(logger: Logger) -> Logger:
    """The same logger, which is left out from its first exception on: that is a warning.

    It stays an object of its class, for callbacks that look for such a one; what they do with its `experiment` is theirs. Its calls return
    whether they have succeeded.
    """
    lost: list[str] = []

    def guard(call: Callable[..., Any]) -> Callable[..., bool]:
        @wraps(call)
        def attempt(*given: Any, **named: Any) -> bool:
            if lost:
                return False
            try:
                call(*given, **named)
            except Exception as error:
                lost.append(call.__name__)
                _log.warning(
                    "%s has failed in %s (%s) and gets nothing more of this start; metrics.jsonl has all of it",
                    type(logger).__name__,
                    call.__name__,
                    what(error),
                )
            return not lost

        return attempt

    for name in CALLS:
        setattr(logger, name, guard(getattr(logger, name)))
    return logger


def what(error: BaseException) -> str:
    """The kind of an exception and what it says, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".removesuffix(": ")


def following(logger: Logger, metrics: Path, place: Path) -> Logger:
    """The same logger, guarded, which gets each line of metrics.jsonl once, in order, over all starts of a run.

    What Lightning and its callbacks log reaches it as a part of such a line. A run that goes on from a checkpoint writes some lines once
    more: the logger has those of the first time. What it has missed, because it or the process had failed, it gets at the next start.

    Args:
        logger: Any of Lightning's; it stays an object of its class.
        metrics: The file metrics.jsonl.
        place: The file that says up to which step the logger has been told.
    """
    feed = _Feed(guarded(logger), metrics, place)
    logger.log_metrics = feed.log_metrics
    logger.save = feed.save
    logger.finalize = feed.finalize
    return logger


class _Feed:
    def __init__(self, logger: Logger, metrics: Path, place: Path):
        self._send: Callable[..., Any] = logger.log_metrics
        self._keep: Callable[..., Any] = logger.save
        self._end: Callable[..., Any] = logger.finalize
        self._metrics, self._place = metrics, place
        self._tail: MetricsTail | None = None
        self._told = -1
        self._size = 0
        self._busy = False

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Tells the logger what has been written; the step that is being gathered is not."""
        self._feed()

    def save(self) -> None:
        if not self._feed():
            self._keep()

    def finalize(self, status: str) -> None:
        self._feed()
        self._end(status)

    def _feed(self) -> bool:
        """Whether there was something new. (A logger may save itself while it is told something.)."""
        if self._busy or not self._metrics.exists():
            return False
        self._busy = True
        try:
            return self._tell()
        except OSError as error:
            _log.warning("%s cannot be read for a logger: %s", self._metrics, what(error))
            return False
        finally:
            self._busy = False

    def _tell(self) -> bool:
        if self._tail is None:
            self._told = self._last()
            self._tail = MetricsTail(self._metrics, self._told)
        before, self._size = self._size, self._metrics.stat().st_size
        if before == self._size:
            return False
        rows = [row for row in self._tail.new() if row["step"] > self._told]
        for row in rows:
            step = int(row["step"])
            if not self._send({name: value for name, value in row.items() if name != "step"}, step):
                return True
        if rows and self._keep():
            with suppress(WriteError):
                write_json(self._place, {"step": int(rows[-1]["step"])})
        return bool(rows)

    def _last(self) -> int:
        try:
            step = read_json(self._place)["step"] if self._place.exists() else -1
        except (FileError, KeyError):
            return -1
        return step if isinstance(step, int) else -1
