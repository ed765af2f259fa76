"""This process among others: its rank, its memory and its end, and the processes that it starts.

torch and Lightning are a million objects that live from their import to the end of the process. Python's collector goes through them again
and again while they are imported, which is a third of that time, and once more at the end, which takes longer than all else there.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

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


SLACK = timedelta(seconds=30)
"""By how much longer than a strategy's timeout torch waits: it cannot say for whom, and says so on a page of C++."""

PARENT = "DIFFLAB_PARENT"
"""Variable that names the process by which this one may have been started."""


def in_step() -> bool:
    """Whether srun has started this process beside others. (A shell that srun has given a terminal is alone.)."""
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    return "SLURM_STEP_ID" in os.environ and "SLURM_PTY_PORT" not in os.environ and int(tasks) > 1


def launched_rank() -> int:
    """The number of this process among those of the command."""
    if in_step() and "TORCHELASTIC_RUN_ID" not in os.environ:
        return int(os.environ["SLURM_PROCID"])
    return int(next((os.environ[key] for key in ("RANK", "LOCAL_RANK") if key in os.environ), "0"))


def launched_together() -> bool:
    """Whether torchrun or srun has started this process beside others."""
    return in_step() or ("TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1)


def is_beside_first() -> bool:
    """Whether another process of the command has started this one: Lightning does, where neither torchrun nor srun has started them all."""
    started_by_others = "TORCHELASTIC_RUN_ID" in os.environ or in_step()
    return not started_by_others and os.environ.get("LOCAL_RANK", "0") != "0"


def end_with_first() -> None:
    """Has a process that the first one has started end with it, also while they do not know each other yet.

    Those that torchrun or srun have started are watched by these.
    """
    if is_beside_first() and PARENT in os.environ:
        end_with_parent(parent=int(os.environ[PARENT]))
    os.environ[PARENT] = str(os.getpid())


@contextmanager
def gc_paused() -> Iterator[None]:
    """Within the context nothing is collected, and what has been made in it is never looked at again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


def end_at_once() -> None:
    """The process will end without looking for garbage: its memory goes back as a whole.

    Functions that wait for its end are called as ever, threads are waited for.
    """
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
