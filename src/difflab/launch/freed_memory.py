"""What a process does with memory that it has freed."""

from __future__ import annotations

import ctypes
import os

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
