"""What the program writes to the terminal: whole lines, whatever becomes of the output, and no more of Lightning's than one needs.

Where the reader has gone (`| head`, a closed terminal) or the disk under the log is full, nothing that is printed raises an error, whoever
prints it: what there is to say is lost, and work that takes long is told to stop and save. A stream
that is closed from the start is one to nowhere.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import select
import sys
import warnings
from typing import Any, TextIO

from difflab.runtime.signals import signals


class Stream(io.RawIOBase):
    """An open file that loses what it cannot write.

    Args:
        descriptor: Of the file.

    Attributes:
        lost: Why it cannot be written any more; None while all is well.
    """

    def __init__(self, descriptor: int):
        self._descriptor = descriptor
        self.lost: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any, /) -> int:
        whole = memoryview(data).nbytes
        while self.lost is None:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # another program has made it so
                select.select([], [self._descriptor], [])
            except OSError as error:
                self.lost = error
                signals.stop(f"an output that takes nothing any more ({error.strerror})")
        return whole


def keep_outputs() -> Stream:
    """Has this process write by way of `Stream`; returns that of the standard output."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except (
            OSError
        ):  # closed: the next file that is opened would take its place, and what is printed be written into it
            os.open(os.devnull, os.O_RDWR)
    out = Stream(1)
    sys.stdout, sys.stderr = _text(out, sys.stdout), _text(Stream(2), sys.stderr)
    return out


def is_unread(error: OSError) -> bool:
    """Whether the reader has gone, which is nobody's fault."""
    return error.errno in (errno.EPIPE, errno.EIO)


def _text(stream: Stream, before: TextIO) -> TextIO:
    """A text stream like the one that Python has made."""
    if not isinstance(before, io.TextIOWrapper):  # none, for a closed one
        return io.TextIOWrapper(io.BufferedWriter(stream), encoding="utf-8", errors="replace")
    before.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(stream),
        encoding=before.encoding,
        errors=before.errors,
        newline="\n",
        line_buffering=True,  # a log says at once what happens, and a reader that has gone is noticed
        write_through=before.write_through,
    )


class PlainLines(logging.Handler):
    """Prints messages as "warning: ..." to what the standard output is at that time: above a line of progress, if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
            kind = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
            trace = f"\n{logging.Formatter().formatException(record.exc_info)}" if record.exc_info else ""
            print(f"{kind}{text}{trace}", flush=True)
        except Exception:
            self.handleError(record)


_said = set[str]()
"""Warnings that have been given since the command, or this row of a sweep, began."""


def _say_once(message: Warning | str, *_: object, **__: object) -> None:
    """Without the line of code that gave it. (Python's own `once` begins anew whenever somebody changes a filter.)."""
    if str(message) not in _said:
        _said.add(str(message))
        print(f"warning: {message}", file=sys.stderr, flush=True)


def quiet_lightning() -> None:
    """Lightning speaks of devices, hooks, loaders and products at length; its warnings stay, and the first process says them for all."""
    from difflab.runtime.process import launched_rank

    for name in ("lightning_fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # what it cannot find is raised as well
    for message in (
        ".*isinstance.treespec, LeafSpec.*",
        ".*does not have many workers.*",
        ".*`srun` command is available.*",
        ".*sync_dist=True.*",  # metrics are sums over all processes already
    ):
        warnings.filterwarnings("ignore", message=message)
    _said.clear()
    warnings.showwarning = _say_once
    if launched_rank() > 0:
        warnings.simplefilter("ignore")
        logging.getLogger("difflab").setLevel(logging.ERROR)
