"""Standard output and error that work survives: the reader has gone (`| head`, a closed terminal), or the disk under the log is full.

Nothing that is printed then raises an error, whoever prints it: what there is to say is lost, and work that takes long is told to stop and
save. A stream that is closed from the start is one to nowhere.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
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
