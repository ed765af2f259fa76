"""Work for which training does not wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

Job = Callable[[], object]


class Aside:
    """Does jobs after each other in a thread of its own.

    Args:
        name: Of the thread.
        failed: Called, in the thread, with a job and what it has raised; says whether the thread is to go on.
    """

    def __init__(self, name: str, failed: Callable[[Job, BaseException], bool]):
        self._failed = failed
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def do(self, job: Job) -> None:
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
        for job in iter(self._jobs.get, None):
            try:
                job()
            except BaseException as error:  # SystemExit, too: W&B ends its process with it
                if not self._failed(job, error):
                    return
