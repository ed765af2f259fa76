"""The signals by which a process is told to stop, and how they are kept waiting until it can answer them."""

from __future__ import annotations

import signal

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP)


def withhold() -> set[int]:
    """From now on they wait, for this thread and for the processes that it starts; returns which of all signals waited before."""
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS))


def release() -> None:
    """They come, those first that have waited."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
