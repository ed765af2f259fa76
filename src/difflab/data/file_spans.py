"""Pieces of large files, by position."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

OPEN_AT_ONCE = 128
"""Files that are kept open: opening one costs a round trip on a shared file system, and a process may not keep very many."""


class FileSpans:
    """Reads with `pread`, which has no position that threads or forked workers would share."""

    def __init__(self):
        self._open: OrderedDict[Path, _Descriptor] = OrderedDict()
        self._lock = Lock()

    def read(self, path: Path, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on; an OSError if there are fewer."""
        descriptor = self._descriptor(path)
        content = os.pread(descriptor.number, size, offset)
        while 0 < len(content) < size:  # one call gives 2 GiB at most
            more = os.pread(descriptor.number, size - len(content), offset + len(content))
            if not more:
                break
            content += more
        if len(content) < size:
            raise OSError(f"{path} ends before byte {offset + size}")
        return content

    def _descriptor(self, path: Path) -> _Descriptor:
        with self._lock:
            if path not in self._open:
                self._open[path] = _Descriptor(path)
                if len(self._open) > OPEN_AT_ONCE:
                    self._open.popitem(last=False)  # closed when the last thread that reads from it lets go
            self._open.move_to_end(path)
            return self._open[path]

    def __getstate__(self) -> dict[str, Any]:
        return {}  # a spawned worker opens its own

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._open, self._lock = OrderedDict(), Lock()


class _Descriptor:
    """An open file."""

    def __init__(self, path: Path):
        self.number = -1
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self):
        if self.number >= 0:
            os.close(self.number)
