"""Processes that this one starts, and what the end of a process tells whoever started it."""

from __future__ import annotations

import atexit
import ctypes
import functools
import multiprocessing
import multiprocessing.util
import os
import signal
import sys

REQUEUE_EXIT_CODE = 75
"""EX_TEMPFAIL: the run was saved and wants to be started again by the same command."""

BUSY_EXIT_CODE = 5
"""Another process is working on the run: there was nothing to do."""


_PR_SET_PDEATHSIG = 1
"""prctl(2) of Linux: the signal that a process gets when the thread that has started it ends."""


def end_with_parent(number: signal.Signals = signal.SIGKILL, parent: int | None = None) -> None:
    """Has the kernel end this process when the one that has started it is gone. Where the kernel cannot (not Linux), nothing happens.

    Args:
        number: The signal by which it ends.
        parent: Number of that process, by which one that is gone already is known; None for the one that there is now.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), number)


@functools.cache
def kill_workers_at_exit() -> None:
    """At the end of this process its workers are killed. By itself Python sends them SIGTERM, which they ignore, and waits for ever."""
    atexit.register(_kill_workers)


def _kill_workers() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch would raise an error for each
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()
