"""Loggers that are fed from metrics.jsonl."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from difflab.files import WriteError, write_json
from difflab.reading import FileError, read_json
from difflab.runs.guarded import guarded, what
from difflab.runs.metrics_tail import MetricsTail

_log = logging.getLogger(__name__)


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
        """Whether there was something new. (A logger may save itself while it is told something.)"""
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
