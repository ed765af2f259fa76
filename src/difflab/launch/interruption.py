"""Being stopped: by a signal, or because time is up.

A handler only notes its signal. After each optimizer step all processes agree whether any of them was told to stop, so they save at the
same step and none waits for another. (Lightning saves inside the handler, which hangs when a process is in a collective operation.)
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from typing import Any

import torch
import torch.distributed as dist

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)


class Interrupted(Exception):
    """Training was told to stop and has saved its state."""


class Interruption:
    """Knows whether training should stop now, and why.

    max_time   time that this start may take, DD:HH:MM:SS; "" for no limit
    margin     seconds before the end of a SLURM allocation at which to stop, for saving
    """

    def __init__(self, max_time: str, margin: float):
        self._deadlines: list[tuple[float, str]] = []
        if max_time:
            self._deadlines.append((time.time() + seconds(max_time), f"the time limit of {max_time}"))
        if "SLURM_JOB_END_TIME" in os.environ:
            self._deadlines.append(
                (float(os.environ["SLURM_JOB_END_TIME"]) - margin, "the end of the SLURM allocation")
            )
        self._signal: signal.Signals | None = None
        self._replaced: dict[signal.Signals, Any] = {}
        self._group: Any = None

    def listen(self) -> None:
        """Takes over the signals; called when training starts, since Lightning registers handlers of its own just before."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._replaced[number] = signal.signal(number, self._note)
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            self._group = dist.new_group(backend="gloo")  # on the host: a GPU would have to be waited for

    def ignore(self) -> None:
        """From now on signals change nothing any more: the state is being saved."""
        for number in self._replaced:
            signal.signal(number, signal.SIG_IGN)

    def stop_listening(self) -> None:
        """Gives the signals back."""
        for number, handler in self._replaced.items():
            signal.signal(number, handler)
        self._replaced.clear()

    def requested(self) -> bool:
        """Whether any process was told to stop. All processes must ask at the same step."""
        stop = self.reason() is not None
        if self._group is None:
            return stop
        flag = torch.tensor(int(stop))
        dist.all_reduce(flag, op=dist.ReduceOp.MAX, group=self._group)
        return bool(flag)

    def reason(self) -> str | None:
        """Why this process should stop; None if it should not."""
        if self._signal is not None:
            return self._signal.name
        return next((what for when, what in self._deadlines if time.time() >= when), None)

    def _note(self, number: int, frame: Any) -> None:
        if self._signal is signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt  # a second Ctrl-C means now
        self._signal = signal.Signals(number)


def seconds(duration: str) -> float:
    """DD:HH:MM:SS, or the end of it such as MM:SS, in seconds."""
    if not re.fullmatch(r"\d+(:\d+){0,3}", duration):
        raise ValueError(f"trainer.max_time={duration}: expected DD:HH:MM:SS, for example 00:12:00:00 for twelve hours")
    parts = [int(part) for part in duration.split(":")]
    return sum(part * unit for part, unit in zip(reversed(parts), (1, 60, 3600, 86400), strict=False))
