"""One thing that is examined before a run, what it finds, and the report of all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from rich.table import Table
from rich.text import Text

from difflab.distributed.group import Group
from difflab.strict_json import dumps


class Verdict(StrEnum):
    """Skipped: there was nothing to examine. A warning costs time or safety; with a failure a run cannot work."""

    SKIPPED = "skipped"
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """A verdict, what was found, what to do about it ("" if nothing is to be done), and the machines on which it fails while it does not
    on others."""

    verdict: Verdict
    found: str
    advice: str = ""
    nodes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.verdict in (Verdict.WARNING, Verdict.FAILED)) != bool(self.advice):
            raise ValueError(
                f"{self.verdict}: {self.found}: a warning and a failure say what to do, other verdicts do not"
            )


def ok(found: str) -> Finding:
    return Finding(Verdict.OK, found)


def skipped(found: str) -> Finding:
    return Finding(Verdict.SKIPPED, found)


def warning(found: str, advice: str) -> Finding:
    return Finding(Verdict.WARNING, found, advice)


def failed(found: str, advice: str) -> Finding:
    return Finding(Verdict.FAILED, found, advice)


def worst(troubles: Sequence[Finding], otherwise: Finding) -> Finding:
    """All troubles as one finding with the verdict of the worst, worst first; `otherwise` if there are none."""
    if not troubles:
        return otherwise
    ranks = list(Verdict)
    troubles = sorted(troubles, key=lambda finding: -ranks.index(finding.verdict))
    advice = dict.fromkeys(finding.advice for finding in troubles)
    return Finding(troubles[0].verdict, "; ".join(f.found for f in troubles), "; ".join(advice))


COLORS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "bold red", Verdict.SKIPPED: "dim"}


@dataclass(frozen=True)
class Report:
    """What was found: size is the number of processes that there should be, hosts are of those that came."""

    size: int
    hosts: Mapping[int, str]
    findings: Mapping[str, Finding]

    @property
    def exit_code(self) -> int:
        """1 if anything failed; warnings are no failure."""
        return int(any(finding.verdict is Verdict.FAILED for finding in self.findings.values()))

    def as_json(self) -> str:
        """{verdict, processes, hosts, checks: [{name, verdict, found, advice}]}; verdict is failed, warning or ok."""
        present = {finding.verdict for finding in self.findings.values()}
        overall = next((v for v in (Verdict.FAILED, Verdict.WARNING) if v in present), Verdict.OK)
        checks: list[dict[str, Any]] = [{"name": name, **asdict(f)} for name, f in self.findings.items()]
        hosts = [self.hosts.get(rank) for rank in range(self.size)]
        return dumps({"verdict": overall, "processes": self.size, "hosts": hosts, "checks": checks}, indent=2)

    def as_table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for title in ("check", "verdict", "what was found"):
            table.add_column(title, overflow="fold")
        for name, finding in self.findings.items():
            found = Text(finding.found)
            if finding.advice:
                found.append(f"\n-> {finding.advice}", style="italic")
            table.add_row(name, Text(finding.verdict, style=COLORS[finding.verdict]), found)
        return table


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
