"""Being stopped: by a signal, or because time is up.

A signal is only noted (`signals`). After each optimizer step all processes agree whether any of them was told to stop, so they save at the
same step and none waits for another. (Lightning saves inside the handler, which hangs when a process is in a collective operation.)
"""

from __future__ import annotations

import os
import re
import time
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from difflab.runtime.signals import signals


class Interrupted(Exception):
    """Training was told to stop and has saved its state; the message says by what, and where."""


class Interruption:
    """Knows whether training should stop now, and why.

    Args:
        max_time: Time that this start may take, DD:HH:MM:SS; "" for no limit.
        margin: Seconds before the end of a SLURM allocation at which to stop, for saving.
        timeout: Minutes for which processes wait for each other.
    """

    def __init__(self, max_time: str, margin: float, timeout: float):
        self._deadlines: list[tuple[float, str]] = []
        if max_time:
            self._deadlines.append((time.time() + seconds(max_time), f"the time limit of {max_time}"))
        self._own = len(self._deadlines)
        if "SLURM_JOB_END_TIME" in os.environ:
            self._deadlines.append(
                (float(os.environ["SLURM_JOB_END_TIME"]) - margin, "the end of the SLURM allocation")
            )
        self._timeout = timedelta(minutes=timeout)
        self._group: Any = None

    def connect(self) -> None:
        """All processes must call it, once they know each other."""
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            # on the host: a GPU would have to be waited for
            self._group = dist.new_group(backend="gloo", timeout=self._timeout)

    def requested(self) -> bool:
        """Whether any process was told to stop. All processes must ask at the same step."""
        return self._anywhere(self.reason() is not None)

    def signalled(self) -> bool:
        """Whether a signal has told any process to stop. All processes must ask at the same step."""
        return self._anywhere(signals.reason is not None)

    def reason(self) -> str | None:
        """Why this process should stop; None if it should not."""
        return signals.reason or next((what for when, what in self._deadlines if time.time() >= when), None)

    @property
    def ends_others(self) -> bool:
        """Whether what stops this run would stop the next one, too: anything but its own time limit."""
        return signals.reason is not None or any(time.time() >= when for when, _ in self._deadlines[self._own :])

    def _anywhere(self, here: bool) -> bool:
        if self._group is None:
            return here
        flag = torch.tensor(int(here))
        dist.all_reduce(flag, op=dist.ReduceOp.MAX, group=self._group)
        return bool(flag)


def seconds(duration: str) -> float:
    """DD:HH:MM:SS, or the end of it such as MM:SS, in seconds."""
    if not re.fullmatch(r"\d+(:\d+){0,3}", duration):
        raise ValueError(f"trainer.max_time={duration}: expected DD:HH:MM:SS, for example 00:12:00:00 for twelve hours")
    parts = [int(part) for part in duration.split(":")]
    return sum(part * unit for part, unit in zip(reversed(parts), (1, 60, 3600, 86400), strict=False))
