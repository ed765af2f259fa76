"""Work for which training does not wait."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from queue import SimpleQueue

_TOLD_TO_END = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Aside:
    """Does jobs after each other in a thread of its own. The first one that fails is the last one.

    Signals are blocked in the thread, hence also in the programs that it starts: SLURM sends SIGTERM to all processes of a job, and these
    have to live until training has ended.

    Args:
        name: Of the thread.
        failed: Called, in the thread, with what a job has raised.
    """

    def __init__(self, name: str, failed: Callable[[BaseException], None]):
        self._failed = failed
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def do(self, job: Callable[[], object]) -> None:
        """Has a job done when those before it are."""
        self._jobs.put(job)

    def wait(self, seconds: float) -> bool:
        """Whether all jobs are done, or none will be done any more, after at most so many seconds."""
        done = threading.Event()
        self._jobs.put(done.set)
        while self._thread.is_alive() and not done.is_set() and seconds > 0:
            done.wait(min(seconds, 0.1))
            seconds -= 0.1
        return done.is_set() or not self._thread.is_alive()

    def end(self, seconds: float) -> bool:
        """Takes no more jobs. Whether those that there were are done after at most so many seconds."""
        self._jobs.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _TOLD_TO_END)
        try:
            for job in iter(self._jobs.get, None):
                job()
        except BaseException as error:  # SystemExit, too: W&B ends its process with it
            self._failed(error)
