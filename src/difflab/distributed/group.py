"""A group of processes, and what they compute together.

The group of an examination (`difflab doctor`) talks through a key-value store and not by the collective operations that are to be
examined, and its processes wait by asking again and again: so
nothing hangs, and who is missing has a name.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import HashStore, PrefixStore, Store, TCPStore  # pyright: ignore[reportPrivateImportUsage]

from difflab.distributed.placement import Placement, host
from difflab.reading.json import dumps


def rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_processes(tensors: list[Tensor]) -> list[Tensor]:
    """Each tensor summed over all processes: new tensors, one all-reduce for the whole list (equal dtypes)."""
    flat = torch.cat([t.reshape(-1) for t in tensors])
    if world_size() > 1:
        dist.all_reduce(flat)
    parts = flat.split([t.numel() for t in tensors])
    return [part.reshape(t.shape) for part, t in zip(parts, tensors, strict=True)]


def from_first_process(tensors: list[Tensor]) -> list[Tensor]:
    """The values that process 0 holds, on every process; the others' tensors say only shape and dtype (all equal dtypes)."""
    mine = tensors if rank() == 0 else [torch.zeros_like(t) for t in tensors]
    return sum_over_processes(mine)


def gathered(column: Tensor) -> Tensor:
    """The tensors [n] of all processes after each other, [W n]."""
    if world_size() == 1:
        return column
    parts = [torch.empty_like(column) for _ in range(world_size())]
    dist.all_gather(parts, column.contiguous())
    return torch.cat(parts)


def first_text(text: str | None) -> str:
    """The text of the first process that has one, on every process; empty if none has."""
    texts: list[str | None] = [text]
    if world_size() > 1:
        texts = [None] * world_size()
        dist.all_gather_object(texts, text)
    return next((found for found in texts if found is not None), "")


_POLL = 0.002
_ANSWER = 10.0
"""Seconds to wait for who keeps the meeting place."""


class ProcessMissingError(Exception):
    """A process does not answer; the message names it."""


class Group:
    """This process and the others.

    Args:
        place: Of this process.
        timeout: Seconds to wait for another process at a barrier.
        arrival: Seconds that processes may start apart.

    Attributes: `hosts` by rank of those that have come, `missing` ranks.
    """

    def __init__(self, place: Placement, timeout: float, arrival: float):
        self.rank, self.size = place.rank, place.size
        self.local_rank, self.local_size = place.local_rank, place.local_size
        self.started_by = place.started_by
        self.timeout = timeout
        self.arrival = arrival
        self.hosts: dict[int, str] = {}
        self.missing: set[int] = set()
        self._place = place
        self._store = self.another_store("talk")

    def another_store(self, topic: str) -> Store:
        """A store of all processes for one thing alone: waiting in it keeps nobody from using the others."""
        if self.size == 1:
            return HashStore()
        return PrefixStore(f"difflab/{self._place.occasion}/{topic}", self.whole_store(topic == "talk"))

    def whole_store(self, first: bool = False) -> TCPStore:
        """A connection to the meeting place, of which torchrun keeps one for all of its attempts; the first one of process 0 makes it."""
        place, timeout = self._place, timedelta(seconds=self.arrival)
        is_host = place.rank == 0 and not place.hosted and first
        try:
            return TCPStore(place.address, place.port, is_master=is_host, timeout=timeout, wait_for_workers=False)
        except RuntimeError as error:
            if is_host:
                raise ProcessMissingError(
                    f"{host()} cannot listen on port {place.port}, where the processes are to meet: {error}"
                ) from error
            raise ProcessMissingError(
                f"process 0 cannot be reached from {host()} at {place.address}:{place.port} within {self.arrival:g} s: is it "
                "running, does the name resolve, does a firewall stand between the nodes?"
            ) from error

    def meet(self) -> None:
        """Waits for everybody; from here on every process knows who is there and where."""
        self.answer("host", host())
        if self.rank == 0:
            self.say("hosts", list(self.answers("host", self.arrival).items()))
        self.hosts = {int(rank): where for rank, where in self.hear("hosts", 2 * self.arrival)}
        self.missing = set(range(self.size)) - self.hosts.keys()

    def answer(self, topic: str, what: Any) -> None:
        """Tells the first process something; once per topic."""
        self._store.set(f"{topic}/{self.rank}", dumps(what))

    def answers(self, topic: str, timeout: float) -> dict[int, Any]:
        """What each process answers, by rank; without those that do not, for whom nobody waits again."""
        self.missing |= self._absent(topic, set(range(self.size)) - self.missing, timeout)
        present = [rank for rank in range(self.size) if rank not in self.missing]
        return {rank: json.loads(self._store.get(f"{topic}/{rank}")) for rank in present}

    def say(self, topic: str, what: Any) -> None:
        """Tells everybody something; once per topic."""
        self._store.set(f"said/{topic}", dumps(what))

    def hear(self, topic: str, timeout: float) -> Any:
        """What was said of a topic, once it is said."""
        if self._unset([f"said/{topic}"], timeout):
            raise ProcessMissingError(f"process 0 has said nothing of {topic!r} for {timeout:g} s")
        return json.loads(self._store.get(f"said/{topic}"))

    def first(self, topic: str) -> bool:
        """Whether nobody has asked before; also if nobody can be asked any more."""
        try:
            self._store.set_timeout(timedelta(seconds=_ANSWER))
            return self._store.add(f"first/{topic}", 1) == 1
        except RuntimeError:
            return True

    def barrier(self, name: str) -> None:
        """Waits for everybody, once per name. A ProcessMissingError names who does not come."""
        topic = f"barrier/{name}"
        self._store.set(f"{topic}/{self.rank}", "")
        absent = self.missing or self._absent(topic, set(range(self.size)), self.timeout)
        if absent:
            raise ProcessMissingError(f"{self.named(absent)} did not come within {self.timeout:g} s")

    def named(self, ranks: Iterable[int]) -> str:
        return ", ".join(
            f"process {r} on {self.hosts[r]}" if r in self.hosts else f"process {r}" for r in sorted(ranks)
        )

    def _absent(self, topic: str, ranks: set[int], timeout: float) -> set[int]:
        keys = {f"{topic}/{rank}": rank for rank in ranks}
        return {keys[key] for key in self._unset(list(keys), timeout)}

    def _unset(self, keys: list[str], timeout: float) -> list[str]:
        """Those keys that nobody has set when time is up."""
        end = time.monotonic() + timeout
        while True:
            try:
                keys = [key for key in keys if not self._store.check([key])]
            except RuntimeError as error:
                raise ProcessMissingError(f"process 0, which keeps the meeting place, has gone: {error}") from error
            if not keys or time.monotonic() > end:
                return keys
            time.sleep(_POLL)
