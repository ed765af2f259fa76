"""One thing that is examined before a run: every process measures, the first one judges."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from difflab.launch.doctor.finding import Finding
from difflab.launch.group import Group


class NotApplicableError(Exception):
    """There is nothing to examine here; the message says why."""


@dataclass(frozen=True)
class Measured:
    """What a process has found out, as JSON knows it."""

    rank: int
    host: str
    facts: Mapping[str, Any]

    @property
    def who(self) -> str:
        return f"process {self.rank} on {self.host}"


class Check(ABC):
    """A check. What is measured and how it is judged are apart, so that every judgement can be tried without the broken machine.

    name     of what is examined
    remedy   what to look at if a process cannot measure at all, or hangs
    """

    name: str
    remedy: str

    @abstractmethod
    def measure(self, group: Group) -> dict[str, Any]:
        """What this process finds; all processes measure at the same time and may talk to each other through the group.

        Raises NotApplicableError if there is nothing to measure. Any other exception is a failure. It may take as long as it
        likes: the examination goes on without it when its time is up.
        """

    @abstractmethod
    def judge(self, measured: Sequence[Measured]) -> Finding:
        """The finding from what the processes have measured, in order of ranks."""


def differing(measured: Sequence[Measured], key: str) -> str:
    """Who has which value of a fact, if not all have the same; "" if they have: `0 on node1, 1 on node2`."""
    holders: dict[Hashable, list[str]] = {}
    for one in measured:
        value = one.facts[key]
        holders.setdefault(tuple(value) if isinstance(value, list) else value, []).append(one.host)
    if len(holders) == 1:
        return ""
    return ", ".join(f"{value} on {', '.join(dict.fromkeys(hosts))}" for value, hosts in holders.items())
