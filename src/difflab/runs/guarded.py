"""Loggers that may fail: the run directory is the truth, and what only mirrors it never ends a run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from pytorch_lightning.loggers import Logger

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
