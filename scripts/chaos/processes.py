"""Processes beside the first one, and a second command."""

from __future__ import annotations

import os
import signal

from scripts.chaos.scenario import Scenario, Unavailable
from scripts.chaos.training import Broke, Training


class WandbKilled(Scenario):
    """W&B is a mirror: without it the run goes on."""

    name, what = "wandb-core", "W&B's process is killed while training goes on"

    def disturb(self, training: Training) -> str:
        started = training.start().reaches("^step ")
        if not (found := started.all("wandb-core")):
            started.ends(0)
            raise Unavailable("no wandb-core runs beside the training")
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        started.ends(0)
        return "trained to the end, status 0"


class WorkerKilled(Scenario):
    """As by a system that is out of memory."""

    name, what = "worker", "a data worker is killed"

    def disturb(self, training: Training) -> str:
        started = training.start().reaches("^step ")
        children = [pid for pid in started.all("train.py") if pid != started.process.pid]
        if not children:
            raise Broke("no data worker was found")
        os.kill(children[-1], signal.SIGKILL)
        started.process.wait(240)
        status = started.process.returncode
        started.signal_all(signal.SIGKILL)
        if status in (75, 3):
            raise Broke(f"status {status}")
        return f"ended, status {status}"


class Twice(Scenario):
    """The same command from another shell."""

    name, what = "second", "the same command is started a second time meanwhile"

    def disturb(self, training: Training) -> str:
        first = training.start().reaches("^step ")
        os.kill(first.process.pid, signal.SIGSTOP)
        try:
            training.start().ends(5, said="is being worked on by process")
        finally:
            os.kill(first.process.pid, signal.SIGCONT)
        first.ends(0)
        return "the second: one line, status 5; the first: status 0"
