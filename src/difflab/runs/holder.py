"""Who works on a run, as <run>/lock.json says it."""

from __future__ import annotations

import os
import platform
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from difflab.files import write_json
from difflab.reading import read_json


@dataclass(frozen=True)
class Holder:
    """A process that works on a run.

    Attributes:
        host: Its machine's name.
        pid: Its number there.
        since: When it took the run.
        job: Its SLURM job, "" outside of one.
        start: How often that job had been requeued.
        machine: Within what its number means something: the start of the machine, and the container. "" in files of earlier versions.
        began: When the process began, since a number is given again; "" where that is not known.
        token: Of this holding and no other.
    """

    host: str
    pid: int
    since: str
    job: str = ""
    start: int = 0
    machine: str = ""
    began: str = ""
    token: str = ""

    @classmethod
    def me(cls) -> Holder:
        """This process, taking a run now."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        job, start = os.environ.get("SLURM_JOB_ID", ""), int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        pid = os.getpid()
        return cls(platform.node(), pid, since, job, start, machine(), _began(pid), secrets.token_hex(8))

    @classmethod
    def read(cls, path: Path) -> Holder | None:
        """Whom a lock.json names; None if there is none that can be read."""
        try:
            said = read_json(path)
            words = {name: str(said.get(name, "")) for name in ("job", "machine", "began", "token")}
            pid, start = int(said["pid"]), int(said.get("start", 0))
            return cls(host=str(said["host"]), pid=pid, since=str(said["since"]), start=start, **words)
        except (OSError, ValueError, TypeError, KeyError, OverflowError):
            return None

    def write(self, path: Path) -> None:
        write_json(path, asdict(self), indent=None)

    def lives(self) -> bool | None:
        """Whether the process is there; None if that cannot be seen from here."""
        if self.machine != machine() and (self.machine or self.host != platform.node()):
            return None
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except OSError:
            return True
        return not self.began or self.began == _began(self.pid)

    def is_earlier_start(self, other: Holder) -> bool:
        """Whether this is an earlier start of the SLURM job to which the other belongs."""
        return bool(other.job) and self.job == other.job and self.start < other.start

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


def machine() -> str:
    """Name of a machine since its last start, and of the container that counts its processes anew."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{platform.node()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # no Linux
        return platform.node()


def _began(pid: int) -> str:
    """When a process of this machine began, in ticks since the machine did; "" where that cannot be known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
