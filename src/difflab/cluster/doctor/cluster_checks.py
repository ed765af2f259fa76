"""Checks of what several machines share."""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from difflab.cluster.doctor.check import (
    Check,
    Finding,
    Measured,
    NotApplicableError,
    differing,
    failed,
    ok,
    warning,
    worst,
)
from difflab.distributed.group import Group
from difflab.files import write_bytes

NOTICEABLE, HARMFUL = 1.0, 30.0


class ClockSkew(Check):
    """Whether the machines' clocks agree."""

    name = "clocks"
    remedy = "a process is missing: see above"

    def measure(self, group: Group) -> dict[str, Any]:
        if group.size == 1:
            raise NotApplicableError("one process has one clock")
        group.barrier("clocks")
        return {"time": time.time()}

    def judge(self, measured: Sequence[Measured]) -> Finding:
        times = sorted((one.facts["time"], one.host) for one in measured)
        (earliest, slow), (latest, fast) = times[0], times[-1]
        apart = latest - earliest
        found = f"{apart:.2g} s between {slow} and {fast}" if slow != fast else f"within {apart:.2g} s, all on {slow}"
        remedy = "have the nodes' clocks set (chrony, ntpd)"
        if apart > HARMFUL:
            return failed(f"{found}: time limits and certificates are judged by these clocks", remedy)
        return warning(found, remedy) if apart > NOTICEABLE else ok(found)


class DataReachable(Check):
    """Whether every process reads the same images.

    Args:
        first_images: Opens the run's data set and reads images of it: (how many there are, shape of one, a hash of some); None if no run is
            named.
    """

    name = "data"
    remedy = "every node must see the data set: data.dataset.root on the shared file system, or stage_in of the cluster's profile"

    def __init__(self, first_images: Callable[[], tuple[int, list[int], str]] | None):
        self.first_images = first_images

    def measure(self, group: Group) -> dict[str, Any]:
        if self.first_images is None:
            raise NotApplicableError("no run is named: add +experiment=... as in the training command")
        start = time.perf_counter()
        count, shape, digest = self.first_images()
        return {"count": count, "shape": shape, "digest": digest, "seconds": time.perf_counter() - start}

    def judge(self, measured: Sequence[Measured]) -> Finding:
        words = {
            "count": "numbers of images",
            "shape": "sizes of images",
            "digest": "contents of the first and last image",
        }
        troubles = [
            failed(
                f"different {what}: {who}",
                "each node has data of its own: copy one data set to all, or use the shared file system",
            )
            for key, what in words.items()
            if (who := differing(measured, key))
        ]
        facts = measured[0].facts
        shape = "x".join(str(n) for n in facts["shape"])
        slowest = max(one.facts["seconds"] for one in measured)
        return worst(troubles, ok(f"{facts['count']} images of {shape}, opened in {slowest:.2g} s"))


BLOCK = 65536
REPLACEMENTS, REPLACING = 50, 5.0
"""How often a file is replaced, and for how many seconds at most."""
LATE, SLOW_SYNC = 2.0, 1.0
VISIBLE_WITHIN = 5.0
"""Seconds: network file systems show new files to other nodes with a delay."""


class SharedFolder(Check):
    """Whether all machines see one folder for runs.

    Args:
        folder: run.root.
    """

    name = "shared folder"
    remedy = "run.root must be a folder in which every process may write: choose another one, on a shared file system"

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).absolute()

    def measure(self, group: Group) -> dict[str, Any]:
        if group.rank == 0:
            group.say("shared folder: name", uuid.uuid4().hex)
        place = self.folder / f".doctor-{group.hear('shared folder: name', group.timeout)}"
        made = not self.folder.exists()
        place.mkdir(parents=True, exist_ok=True)
        try:
            start = time.perf_counter()
            write_bytes(place / f"token-{group.rank}", f"{group.rank}".encode())
            sync = time.perf_counter() - start
            write_bytes(place / f"replaced-{group.rank}", bytes(BLOCK))
            group.barrier("shared folder: written")
            waited, unseen = wait_for_tokens(place, group.size)
            group.barrier("shared folder: seen")
            watched = (group.rank + group.size // 2) % group.size  # on another node, if there are several
            broken = gone = replaced = 0
            until = time.monotonic() + REPLACING
            while replaced < REPLACEMENTS and time.monotonic() < until:
                value, replaced = replaced, replaced + 1
                write_bytes(place / f"replaced-{group.rank}", bytes([value]) * BLOCK)
                state = state_of(place / f"replaced-{watched}")
                broken, gone = broken + (state == "broken"), gone + (state == "gone")
            group.barrier("shared folder: replaced")
        finally:
            shutil.rmtree(place, ignore_errors=True)  # by every process: it may be another folder on each node
            with contextlib.suppress(OSError):
                if made:
                    self.folder.rmdir()
        return {"sync": sync, "waited": waited, "unseen": unseen, "broken": broken, "gone": gone, "replaced": replaced}

    def judge(self, measured: Sequence[Measured]) -> Finding:
        hosts = {one.rank: one.host for one in measured}
        troubles: list[Finding] = []
        for one in measured:
            others = ", ".join(sorted({hosts.get(rank, str(rank)) for rank in one.facts["unseen"]}))
            if others:
                unseen = f"{one.who} does not see in {self.folder} what {others} has written"
                troubles.append(
                    failed(
                        unseen, "it is not the same folder on all nodes: run.root=<a folder on the shared file system>"
                    )
                )
            elif one.facts["waited"] > LATE:
                late = f"{one.who} saw new files after {one.facts['waited']:.1f} s"
                troubles.append(
                    warning(late, "the file system caches for long: a restart may miss the newest checkpoint")
                )
            if one.facts["broken"]:
                torn = f"{one.who} read {one.facts['broken']} half-replaced files of {one.facts['replaced']}"
                troubles.append(
                    failed(
                        torn,
                        "renaming is not atomic there, checkpoints may be torn: use another file system for run.root",
                    )
                )
            elif one.facts["gone"]:
                gone = f"{one.who} could not read {one.facts['gone']} files of {one.facts['replaced']} while they were replaced"
                troubles.append(
                    warning(
                        gone,
                        "the file system forgets files that are being replaced (NFS does): tries again may be needed",
                    )
                )
        sync = max(one.facts["sync"] for one in measured)
        if sync > SLOW_SYNC:
            troubles.append(
                warning(
                    f"a small file takes {sync:.1f} s to reach the disk", "checkpoint_io=asynchronous, or a faster disk"
                )
            )
        seen = f"seen by all {len(measured)} processes, " if len(measured) > 1 else ""
        return worst(
            troubles, ok(f"{self.folder}: {seen}replacing is atomic, a write reaches the disk in {1000 * sync:.2g} ms")
        )


def wait_for_tokens(place: Path, processes: int) -> tuple[float, list[int]]:
    """(seconds until all tokens could be read, ranks of those that never could)."""
    start = time.perf_counter()
    unseen = list(range(processes))
    while unseen and time.perf_counter() - start < VISIBLE_WITHIN:
        unseen = [rank for rank in unseen if read(place / f"token-{rank}") != f"{rank}".encode()]
        if unseen:
            time.sleep(0.05)
    return time.perf_counter() - start, unseen


def state_of(path: Path) -> str:
    """whole, broken or gone."""
    content = read(path)
    if content is None:
        return "gone"
    return "whole" if len(content) == BLOCK and len(set(content)) == 1 else "broken"


def read(path: Path) -> bytes | None:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return None
