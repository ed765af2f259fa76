"""A small training with the default logger and data workers, as a process that can be watched and harmed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SMALL = [
    "+experiment=cosine_adagn",
    "network.width=16",
    "network.dropout=0.1",
    "schedule.steps=20",
    "objective/time_sampler=loss_second_moment",
    "sampler.grid.steps=5",
    "eval.num_samples=40",
    "eval.batch_size=40",
    "eval.every=40",
    "checkpoint.every=7",
    "trainer.log_every_n_steps=5",
    "trainer.accelerator=cpu",
    "data.num_workers=1",
    "logger.wandb.mode=offline",
]
LONGEST = 240.0
"""Seconds after which a process hangs."""
MARK = "DIFFLAB_CHAOS"
_CLOCKED = ("train/images_per_second", "train/data_wait_share")


class Broke(Exception):
    """What should have held did not."""


class Training:
    """`python train.py` into a folder of its own.

    Attributes:
        root: run.root, with a space in its name.
    """

    def __init__(self, root: Path, overrides: Sequence[str], steps: int, processes: int = 1):
        """Nothing is started yet.

        Args:
            root: Folder for runs and logs.
            overrides: More of the command line.
            steps: Of the optimizer.
            processes: Over which the batch is divided.
        """
        self.folder, self.root, self.steps = root, root / "my runs", steps
        parallel = [f"trainer.devices={processes}", "strategy=ddp"] if processes > 1 else []
        self._given = [*SMALL, f"trainer.max_steps={steps}", *parallel, *overrides]
        self._overrides, self._processes = overrides, processes

    def copy_to(self, root: Path) -> Training:
        """The same command with another folder."""
        return Training(root, self._overrides, self.steps, self._processes)

    @property
    def run(self) -> Path:
        """The directory of the run."""
        (config,) = self.root.glob("*/*/config.yaml")
        return config.parent

    def start(self, before: Callable[[], object] | None = None, stdout: Any = None) -> Started:
        """Starts the command.

        Args:
            before: Called in the child.
            stdout: Where its output goes; a log of its own by default.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        log, mark = self.folder / f"start-{time.monotonic_ns()}.log", uuid.uuid4().hex
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HOME": str(self.folder), MARK: mark}
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "train.py"), *self._given, f"run.root={self.root}"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout or file,
                stderr=file,
                start_new_session=True,
                preexec_fn=before,
            )
        return Started(process, log, mark)

    def to_the_end(self) -> str:
        """Runs the command to its end; its output."""
        return self.start().ends(0)

    def outcome(self) -> dict[str, Any]:
        """What a finished run is compared by."""
        text = subprocess.run(
            [sys.executable, "-m", "difflab", "info", str(self.run), "--json"],
            capture_output=True,
            encoding="utf-8",
            check=True,
        ).stdout
        lines = (self.run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [{k: v for k, v in json.loads(line).items() if k not in _CLOCKED} for line in lines]
        samples = {path.name: path.read_bytes() for path in sorted((self.run / "samples").glob("*.png"))}
        return {"weights": json.loads(text)["weights_sha256"], "metrics": rows, "samples": samples}


class Started:
    """A training that was started.

    Attributes:
        process: Its first process.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path, mark: str):
        """A process whose children bear the same mark in their environment."""
        self.process = process
        self._log, self._mark = log, mark

    @property
    def output(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def reaches(self, said: str) -> Started:
        """Waits until a line that matches was printed."""
        until = time.monotonic() + LONGEST
        while not re.search(said, self.output, re.MULTILINE):
            if self.process.poll() is not None or time.monotonic() > until:
                raise Broke(f"it did not get as far as {said!r}: {self._last()}")
            time.sleep(0.02)
        return self

    def all(self, name: str = "") -> list[int]:
        """Numbers of its processes, whatever session they are in, whose command line holds the name."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                is_marked = f"{MARK}={self._mark}".encode() in (folder / "environ").read_bytes().split(b"\0")
                if is_marked and name.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:  # it has ended, or is somebody else's
                continue
        return found

    def signal_all(self, number: signal.Signals) -> None:
        """Sends a signal to all of its processes, as SLURM does."""
        for pid in self.all():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def ends(self, *statuses: int, said: str = "") -> str:
        """Waits for the end: with one of these statuses, without a traceback, and with a line that matches. Returns the output."""
        try:
            status = self.process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            self.signal_all(signal.SIGKILL)
            raise Broke(f"it hung for {LONGEST:.0f} s: {self._last()}") from None
        output = self.output
        if status not in statuses:
            raise Broke(f"status {status}, not {' or '.join(map(str, statuses))}: {self._last()}")
        if "Traceback (most recent call last)" in output:
            raise Broke(f"a traceback: {self._last()}")
        if not re.search(said, output):
            raise Broke(f"no line says {said!r}: {self._last()}")
        self._nobody_is_left()
        return output

    def _nobody_is_left(self) -> None:
        until = time.monotonic() + 30
        while left := self.all():
            if time.monotonic() > until:
                self.signal_all(signal.SIGKILL)
                raise Broke(f"{len(left)} processes were left 30 s after the first had ended")
            time.sleep(0.1)

    def _last(self) -> str:
        return " | ".join(self.output.strip().splitlines()[-3:])[-400:]
