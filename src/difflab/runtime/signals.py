"""Signals that ask a process to stop: who hears them, from the first moment of a process to its last.

Imports take seconds, and SLURM may speak a minute before it acts; so a command takes the signals over before it imports anything large, and
this module imports the standard library alone. What a signal does depends on what the process is at:

    signals.begin(STARTING)     # of a command, first of all; nothing is lost by ending at once
    signals.enter(TRAINING)     # the signal is noted, and `signals.reason` is asked where work can end
    signals.enter(WRITING)      # it changes nothing any more

A thread hears of a signal although the main thread computes or waits in compiled code, where Python runs no handler: so Ctrl-C is
answered at once, and a second one ends the process even if it hangs. In a process that is not a command's own (of joblib, submitit, a
notebook, a test) signals are noted while they are `held`, and then given back.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from difflab.runtime.process import REQUEUE_EXIT_CODE, is_beside_first, launched_rank

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP)


def withhold() -> set[int]:
    """From now on they wait, for this thread and for the processes that it starts; returns which of all signals waited before."""
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS))


def release() -> None:
    """They come, those first that have waited."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


RESPECTED = (signal.SIGHUP, signal.SIGINT)
"""Signals that stay ignored if whoever started the process wants so: by nohup, or in the background of a script."""

AT_ONCE = 128 + signal.SIGINT
"""Exit status of a process that Ctrl-C has ended without its work being saved, as shells have it."""

_ONE_PRESS = 0.3
"""Seconds within which two SIGINT are one: a terminal tells every process of the command, and torchrun tells its own once more."""


@dataclass(frozen=True)
class Stage:
    """What a process is at, and hence what a signal does.

    Attributes:
        says: What happens now, as in "SIGTERM: <says>".
        status: Exit status with which the process ends at once; None if it goes on to where its work can end. To 128 the signal's number is
            added, as shells have it.
        tell: Called with the signal's number, in the main thread.
    """

    says: str
    status: int | None = None
    tell: Callable[[int], object] | None = None


BRIEF = Stage("stopped", 128)
"""Of a command that is soon over, or begins anew."""
STARTING = Stage("nothing was begun; run the same command again", REQUEUE_EXIT_CODE)
DEFERRED = Stage("")
"""Of a process that Lightning has started beside the first: they end together."""
TRAINING = Stage("training stops after this step and saves")
EVALUATING = Stage("training stops after this evaluation and saves")
LAST_EVALUATION = Stage("this is the last evaluation: it goes on, and then the run is complete")
DRAWING = Stage("drawing stops after this batch; what is drawn is kept")
KEEPING = Stage("what is done so far is kept; run the same command again", REQUEUE_EXIT_CODE)
"""Of work that another start of the command goes on with wherever it ends."""
WRITING = Stage("what is done is being written; the process ends by itself")


class Signals:
    """The signals of this process.

    Attributes:
        reason: Why it should stop: the first signal's name, or what `stop` was told; None if it should not.
        stage: What it is at.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.stage = DEFERRED
        self._replaced: dict[signal.Signals, Any] = {}
        self._own = False
        self._heard: set[int] = set()
        self._interrupted: float | None = None
        os.register_at_fork(after_in_child=self._forked)

    def begin(self, stage: Stage) -> None:
        """Takes the signals over until the end of the process, which is a command's own and begins with that."""
        self._own, self.stage = True, stage
        self._take()
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=self._listen, args=(reading,), name="signals", daemon=True).start()
        release()
        atexit.register(self._fall_silent)  # the first one that is registered is the last one that is called

    def enter(self, stage: Stage) -> None:
        """From now on the process is at that; if it was told to stop before, and may end here, it does."""
        if self.reason is not None and stage.status is not None:
            raise SystemExit(stage.status)
        self.stage = stage

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within the context signals are noted, in a process that is not a command's own, too."""
        if self._replaced:
            yield
            return
        self._take()
        try:
            yield
        finally:
            self._give_back()

    def stop(self, reason: str) -> None:
        """The process should stop for another reason than a signal."""
        self.reason = self.reason or reason

    def _take(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            if number in RESPECTED and signal.getsignal(number) is signal.SIG_IGN:
                continue
            self._replaced[number] = signal.signal(number, self._handle)

    def _give_back(self) -> None:
        for number, handler in self._replaced.items():
            if handler is not None:  # one that Python knows
                signal.signal(number, handler)
        self._replaced.clear()
        self._heard.clear()
        self.stage, self.reason, self._interrupted = DEFERRED, None, None

    def _forked(self) -> None:
        """A child by fork is another process, with another purpose."""
        if self._replaced:
            if self._own:
                signal.set_wakeup_fd(-1)
            self._own = False
            self._give_back()

    def _fall_silent(self) -> None:
        """Python gives handlers up while it ends, and a signal would change the exit status; what is ignored stays so."""
        for number in self._replaced:
            signal.signal(number, signal.SIG_IGN)

    def _handle(self, number: int, frame: Any) -> None:
        """In the main thread, which goes on when the signal has been answered."""
        self.stop(signal.Signals(number).name)
        if not self._own:
            self._hear(number)
        deadline = time.monotonic() + 0.5
        while number not in self._heard and time.monotonic() < deadline:
            time.sleep(0.001)
        if self.stage.tell is not None:
            self.stage.tell(number)

    def _listen(self, reading: int) -> None:
        while heard := os.read(reading, 64):
            for number in heard:
                if number in self._replaced:
                    self._hear(number)

    def _hear(self, number: int) -> None:
        name, now, stage = signal.Signals(number).name, time.monotonic(), self.stage
        self.stop(name)
        if number == signal.SIGINT:
            if self._interrupted is not None and now > self._interrupted + _ONE_PRESS:
                if not self._own:
                    raise KeyboardInterrupt
                self._end(AT_ONCE, "ended at once")
            self._interrupted = self._interrupted or now
        ends = self._own and stage.status is not None
        if number not in self._heard and stage.says:
            again = "" if ends or number != signal.SIGINT else ". Ctrl-C again ends it at once, without saving"
            self._say(f"{'Ctrl-C' if number == signal.SIGINT else name}: {stage.says}{again}")
        self._heard.add(number)
        if ends and stage.status is not None:
            self._end(stage.status + (number if stage.status == 128 else 0))

    def _end(self, status: int, line: str = "") -> NoReturn:
        if line:
            self._say(line)
        if os.isatty(1):
            os.write(1, b"\x1b[?25h")  # a progress bar hides the cursor
        os._exit(status)

    def _say(self, line: str) -> None:
        if launched_rank() != 0:
            return
        try:
            os.write(2, f"{chr(10) if os.isatty(2) else ''}{line}\n".encode())  # behind the ^C that a terminal shows
        except OSError:
            return


signals = Signals()
"""Those of this process."""


def starting() -> Stage:
    """Of a training that has not begun."""
    return DEFERRED if is_beside_first() else STARTING
