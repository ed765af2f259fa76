"""Full disks, and a directory that goes away."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path

from scripts.chaos.scenario import Scenario, Unavailable
from scripts.chaos.training import Training

_SIZE = 64 * 2**20


class FullDisk(Scenario):
    """A disk of its own (a tmpfs) with so little room that a certain file finds none."""

    free: int
    status: int
    said: str

    def disturb(self, training: Training) -> str:
        aside = training.folder / "aside"
        training.root.rename(aside)
        training.root.mkdir()
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "none", training.root], capture_output=True
        ).returncode:
            training.root.rmdir()
            aside.rename(training.root)
            raise Unavailable("no disk can be mounted here, also not by `unshare -rm`")
        try:
            shutil.copytree(aside, training.root, dirs_exist_ok=True)
            left = self._fill(training.root)
            output = training.start().ends(self.status, said=self.said)
            (training.root / "filler").unlink()
            line = next(line for line in output.splitlines() if "could not write" in line)
            shutil.rmtree(aside)
            shutil.copytree(training.root, aside)
        finally:
            subprocess.run(["umount", training.root], check=True)
            training.root.rmdir()
            aside.rename(training.root)
        return f"{left / 1000:.0f} kB free: status {self.status}, {_name(line)}"

    def _fill(self, root: Path) -> int:
        """Leaves `free` bytes."""
        found = os.statvfs(root)
        with (root / "filler").open("wb") as file:
            file.write(bytes(max(0, found.f_bavail * found.f_frsize - self.free)))
        found = os.statvfs(root)
        return found.f_bavail * found.f_frsize


class NoRoomAtStart(FullDisk):
    """Not even the lock's note can be written."""

    name, what = "disk-start", "the disk is full when the command starts"
    free, status, said = 0, 2, r"error: could not write .*0\.0 MB free"


class NoRoomForCheckpoint(FullDisk):
    """Some hundred kilobytes: for what is written at the start, and not for a checkpoint."""

    name, what = "disk-training", "the disk fills up while training goes on"
    free, status, said = 400_000, 4, r"could not write .*\.ckpt \(0\.0 MB free|could not write .* MB free"


class LargestFile(Scenario):
    """What every user can have tried, without a disk of its own: files may only grow to a certain size."""

    name, what = "disk-quota", "no file may be larger than 100 kB (ulimit -f)"

    def disturb(self, training: Training) -> str:
        started = training.start(before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
        output = started.ends(4, said="could not write")
        return f"status 4, {_name(next(line for line in output.splitlines() if 'could not write' in line))}"


class Renamed(Scenario):
    """Somebody tidies up."""

    name, what = "renamed", "the run's directory is renamed while it trains, and later put back"

    def disturb(self, training: Training) -> str:
        run = training.run
        elsewhere = run.with_name("renamed")
        started = training.start().reaches("^step ")
        run.rename(elsewhere)
        started.ends(4, said="was renamed or removed")
        shutil.rmtree(run, ignore_errors=True)
        elsewhere.rename(run)
        return "noticed at once, status 4"


def _name(line: str) -> str:
    """The file's name in a line that says what could not be written."""
    path = line.partition("could not write ")[2].partition(" (")[0]
    return f"names {Path(path).name}"
