"""The processes of one cluster: started, found again after any crash, ended.

A process belongs to a cluster if its environment says so (DIFFLAB_CLUSTER_MARK, inherited by everything that a daemon starts) or, since
slurmstepd overwrites its environment, if it holds a socket below the cluster's folder. Numbers in files are not trusted: they may be of
somebody else's process by now.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

MARK = "DIFFLAB_CLUSTER_MARK"
NODE = "DIFFLAB_CLUSTER_NODE"
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "USER", "LOGNAME")


def start(state: Path, name: str, command: list[str], node: str = "") -> subprocess.Popen:
    """Starts a daemon in a session of its own; what it prints goes to log/<name>.out. A job's environment is not handed on."""
    environment = {key: os.environ[key] for key in INHERITED if key in os.environ}
    environment |= {MARK: str(state), NODE: node, "SLURM_CONF": str(state / "slurm.conf")}
    with open(state / "log" / f"{name}.out", "ab") as out:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )


def of_cluster(state: Path, node: str = "") -> dict[int, str]:
    """Process number -> name of the program, of all processes of a cluster or of one of its nodes; daemons first."""
    holders = _sockets(state)
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            pairs = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
            environment = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
            name = (folder / "comm").read_text(encoding="utf-8").strip()
            zombie = (folder / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z"
            if zombie:
                continue
            if name.startswith("slurmstepd"):
                owner = next((holders[link] for link in _links(folder) if link in holders), None)
            elif environment.get(MARK) == str(state):
                owner = environment.get("SLURMD_NODENAME") or environment.get(NODE, "")
            elif environment.get("SLURM_CONF") == str(state / "slurm.conf") and "SLURM_JOB_ID" in environment:
                owner = environment.get("SLURMD_NODENAME", "")
            else:
                continue
        except OSError:  # ended meanwhile
            continue
        if owner is not None and node in ("", owner):
            found[int(folder.name)] = name
    return dict(sorted(found.items(), key=lambda item: not item[1].startswith(("slurm", "munge"))))


def send(number: signal.Signals, processes: Iterable[int]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


def end(state: Path, node: str = "", program: str = "", patience: float = 0.0) -> None:
    """Ends processes, politely for `patience` seconds, then at once; they are gone on return."""

    def left() -> list[int]:
        return [number for number, name in of_cluster(state, node).items() if name.startswith(program)]

    if patience:
        send(signal.SIGTERM, left())
    deadline = time.monotonic() + patience
    while left() and time.monotonic() < deadline:
        time.sleep(0.1)
    for _ in range(100):
        victims = left()
        if not victims:
            return
        send(signal.SIGSTOP, victims)  # nobody starts another meanwhile, and nobody tells the others in words
        send(signal.SIGKILL, victims)
        time.sleep(0.1)
    raise TimeoutError(f"processes {left()} of the cluster in {state} do not end")


def _sockets(state: Path) -> dict[str, str]:
    """Links of open sockets below spool/<node>/ -> node."""
    spool = f"{state}/spool/"
    found = {}
    for line in Path("/proc/net/unix").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if len(fields) > 7 and fields[7].startswith(spool):
            found[f"socket:[{fields[6]}]"] = fields[7].removeprefix(spool).split("/")[0]
    return found


def _links(folder: Path) -> list[str]:
    links = []
    for path in (folder / "fd").iterdir():
        try:
            links.append(os.readlink(path))
        except OSError:
            continue
    return links
