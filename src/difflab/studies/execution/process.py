"""A task as a process of this machine."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from difflab.studies.execution.holding import take
from difflab.studies.execution.last_words import START, last_error
from difflab.studies.execution.places import Places, now
from difflab.studies.execution.record import Record


class Process:
    """Runs a command under its task's lock, and records how it ended.

    folder        in which it runs
    environment   all of it
    """

    def __init__(self, places: Places, key: str, log: Path, folder: str, environment: Mapping[str, str]):
        self.places = places
        self.key = key
        self.log = log
        self.folder = folder
        self.environment = dict(environment)
        self._child: subprocess.Popen[bytes] | None = None

    def run(self, arguments: Sequence[str], cancelled: Callable[[], bool]) -> int | None:
        """The exit status of `python <arguments>`; None if another process works on the task.

        cancelled   whether the end was asked for
        """
        lock = take(self.places.lock(self.key))
        if lock is None:
            return None
        self.log.parent.mkdir(parents=True, exist_ok=True)
        began = now()
        try:
            with self.log.open("ab") as log:
                log.write(f"{START}of {self.key} at {began}\n".encode())
                log.flush()
                self._child = subprocess.Popen(
                    [sys.executable, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder,
                    env=self.environment,
                    process_group=0,  # signals reach the processes that it starts beside itself
                    pass_fds=(lock,),
                )
        finally:
            os.close(lock)
        record = Record(platform.node(), self._child.pid, began)
        record.write(self.places.record(self.key))
        status = self._child.wait()
        error = last_error(self.log) if status else ""
        if status < 0:
            error = f"killed by {signal.Signals(-status).name}"
        ended = replace(record, ended=now(), exit_code=status, error=error, cancelled=cancelled())
        ended.write(self.places.record(self.key))
        return status

    def signal(self, number: signal.Signals) -> bool:
        """To the process and those that it has started; False if it is not there yet, or no longer."""
        there = self._child is not None and self._child.returncode is None
        if self._child is not None and there:
            send(number, self._child.pid)
        return there


def send(number: signal.Signals, group: int) -> None:
    """To a group of processes, if it is there."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
