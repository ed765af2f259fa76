"""Signals and kills."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time

from scripts.chaos.scenario import Scenario
from scripts.chaos.training import Broke, Training

SAVED = 75


class Kills(Scenario):
    """Signals at random moments, SIGKILL among them."""

    name, what = "kills", "killed at random moments by random signals, one process or all"

    def __init__(self, kills: int, seed: int, longest_wait: float):
        """So many kills, each at most so many seconds after training has begun."""
        self.kills, self.chance, self.longest_wait = kills, random.Random(seed), longest_wait

    def disturb(self, training: Training) -> str:
        seen = []
        for _ in range(self.kills):
            if list(training.root.glob("*/*/complete.json")):
                seen.append("complete before the next")
                break
            number = self.chance.choice(
                (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
            )
            started = training.start().reaches("^evaluation" if self.chance.random() < 0.2 else "^step ")
            time.sleep(self.chance.random() * self.longest_wait)
            if number is signal.SIGKILL or self.chance.random() < 0.5:
                started.signal_all(number)
            else:
                started.process.send_signal(number)
            started.ends(*((-number,) if number is signal.SIGKILL else ()), 0, SAVED)
            seen.append(f"{number.name} {started.process.returncode}")
        return ", ".join(seen)


class ToAll(Scenario):
    """What SLURM does: every process of the step, data workers and wandb-core too."""

    name, what = "sigterm", "SIGTERM to all processes, data workers and wandb-core among them"

    def disturb(self, training: Training) -> str:
        started = training.start().reaches("^step ")
        started.signal_all(signal.SIGTERM)
        started.ends(SAVED, 0)
        return f"saved, status {started.process.returncode}"


class StartUp(Scenario):
    """A signal that comes while modules are imported."""

    name, what = "start-up", "SIGUSR1 and SIGTERM half a second, one and two seconds after the start"

    def disturb(self, training: Training) -> str:
        seen = []
        for number, wait in ((signal.SIGUSR1, 0.5), (signal.SIGTERM, 1.0), (signal.SIGUSR1, 2.0)):
            started = training.start()
            time.sleep(wait)
            started.signal_all(number)
            started.ends(SAVED)
            seen.append(str(started.process.returncode))
        return f"status {', '.join(seen)}"


class TwiceInterrupted(Scenario):
    """Somebody who is in a hurry."""

    name, what = "ctrl-c", "Ctrl-C, and a second time half a second later"

    def disturb(self, training: Training) -> str:
        started = training.start().reaches("^step ")
        for _ in range(2):
            for pid in started.all():
                os.kill(pid, signal.SIGINT)
            time.sleep(0.5)
        started.ends(SAVED, 130, 0)
        return f"no traceback, status {started.process.returncode}"


class HungUp(Scenario):
    """A connection that is lost."""

    name, what = "sighup", "SIGHUP: the terminal has gone"

    def disturb(self, training: Training) -> str:
        started = training.start().reaches("^step ")
        started.process.send_signal(signal.SIGHUP)
        started.ends(SAVED, 0)
        return f"saved, status {started.process.returncode}"


class ClosedOutput(Scenario):
    """`train.py | head -5`."""

    name, what = "stdout", "the reader of the output goes away, as of `| head -5`"

    def disturb(self, training: Training) -> str:
        started = training.start(stdout=subprocess.PIPE)
        output = started.process.stdout
        assert output is not None
        for line in output:
            if line.startswith(b"step "):
                break
        else:
            raise Broke("it printed no step")
        output.close()
        started.ends(SAVED, 0)
        return f"saved, status {started.process.returncode}"
