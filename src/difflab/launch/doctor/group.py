"""The processes that examine together.

They talk through a key-value store and not by the collective operations that are to be examined, and wait by asking again and again: so
nothing hangs, and who is missing has a name.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from torch.distributed import HashStore, PrefixStore, Store, TCPStore  # pyright: ignore[reportPrivateImportUsage]

from difflab.launch.doctor.placement import Placement

_POLL = 0.002


class ProcessMissingError(Exception):
    """A process does not answer; the message names it."""


class Group:
    """This process and the others.

    place     of this process
    patience  seconds to wait for another process

    Attributes: `hosts` by rank of those that have answered so far.
    """

    def __init__(self, place: Placement, patience: float):
        self.rank, self.size = place.rank, place.size
        self.local_rank, self.local_size = place.local_rank, place.local_size
        self.started_by = place.started_by
        self.patience = patience
        self.hosts: dict[int, str] = {}
        self.missing: set[int] = set()
        self._place = place
        self._store = self.another_store("talk")
        self._barriers = 0

    def another_store(self, topic: str) -> Store:
        """A store of all processes that is used for one thing: who waits in one of them locks it."""
        if self.size == 1:
            return HashStore()
        place, patience = self._place, timedelta(seconds=self.patience)
        is_host = place.rank == 0 and not place.hosted and topic == "talk"
        try:
            store = TCPStore(place.address, place.port, is_master=is_host, timeout=patience, wait_for_workers=False)
        except RuntimeError as error:
            if is_host:
                raise ProcessMissingError(
                    f"{platform.node()} cannot listen on port {place.port}, where the processes are to meet: {error}"
                ) from error
            raise ProcessMissingError(
                f"process 0 cannot be reached from {platform.node()} at {place.address}:{place.port} within {self.patience:g} s: is it "
                "running, does the name resolve, does a firewall stand between the nodes?"
            ) from error
        return PrefixStore(f"difflab/doctor/{place.occasion}/{topic}", store)

    def meet(self) -> dict[int, str]:
        """Waits for everybody; the host of each process that came."""
        self.hosts = {rank: json.loads(host) for rank, host in self.collect("host", platform.node()).items()}
        return self.hosts

    def collect(self, topic: str, mine: Any) -> dict[int, str]:
        """What each process says of a topic, as JSON text by rank; without those that do not answer, for whom nobody waits again."""
        self._store.set(f"{topic}/{self.rank}", json.dumps(mine))
        self.missing |= self._absent(topic, set(range(self.size)) - self.missing)
        present = [rank for rank in range(self.size) if rank not in self.missing]
        return {rank: self._store.get(f"{topic}/{rank}").decode() for rank in present}

    def say(self, topic: str, what: Any) -> None:
        """Tells everybody something; once per topic."""
        self._store.set(f"said/{topic}", json.dumps(what))

    def hear(self, topic: str, patience: float | None = None) -> Any:
        """What was said of a topic, once it is said."""
        if self._unset([f"said/{topic}"], self.patience if patience is None else patience):
            raise ProcessMissingError(f"nobody has said anything of {topic!r}: the process that should, has it ended?")
        return json.loads(self._store.get(f"said/{topic}"))

    def barrier(self) -> None:
        """Waits for everybody. A ProcessMissingError names who does not come."""
        self._barriers += 1
        topic = f"barrier/{self._barriers}"
        self._store.set(f"{topic}/{self.rank}", "")
        absent = self.missing or self._absent(topic, set(range(self.size)))
        if absent:
            raise ProcessMissingError(f"{self.named(absent)} did not come within {self.patience:g} s")

    def named(self, ranks: Iterable[int]) -> str:
        return ", ".join(f"process {r} on {self.hosts[r]}" if r in self.hosts else f"process {r}" for r in sorted(ranks))

    def _absent(self, topic: str, ranks: set[int]) -> set[int]:
        keys = {f"{topic}/{rank}": rank for rank in ranks}
        return {keys[key] for key in self._unset(list(keys), self.patience)}

    def _unset(self, keys: list[str], patience: float) -> list[str]:
        """Those keys that nobody has set when time is up."""
        end = time.monotonic() + patience
        while True:
            keys = [key for key in keys if not self._store.check([key])]
            if not keys or time.monotonic() > end:
                return keys
            time.sleep(_POLL)
