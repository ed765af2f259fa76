"""Memory of the process: when Python looks for garbage, and what becomes of memory that was freed.

When Python looks for garbage.

torch and Lightning are a million objects that live from their import to the end of the process. Python's collector goes through them again
and again while they are imported, which is a third of that time, and once more at the end, which takes longer than all else there.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def spared() -> Iterator[None]:
    """Within the context nothing is collected, and what has been made in it is never looked at again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


def end_at_once() -> None:
    """The process will end without looking for garbage: its memory goes back as a whole. Functions that wait for its end are called as
    ever, threads are waited for."""
    atexit.register(gc.freeze)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of <malloc.h>
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Keeps it for what comes next, in place of giving it back to the system; whether that could be arranged.

    Without gradients every layer's images are freed as soon as the next layer has read them. The C library then returns their pages, and
    the kernel clears new ones for the next layer: an eighth of the time of drawing on a CPU. The most that a process ever needs stays the
    same. Only glibc is asked, and only where the environment does not tell it anything itself.
    """
    if "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    return all(mallopt(option, _LARGEST) == 1 for option in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))
