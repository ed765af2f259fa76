"""What a check of the doctor is, and how all of them are made in every process of a run."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from rich.table import Table
from rich.text import Text

from difflab.distributed.group import Group, ProcessMissingError
from difflab.reading.json import dumps


class Verdict(StrEnum):
    """Skipped: there was nothing to examine. A warning costs time or safety; with a failure a run cannot work."""

    SKIPPED = "skipped"
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        verdict: How it ended.
        found: What was found.
        advice: What to do about it; "" if nothing is to be done.
        nodes: The machines on which it fails while it does not on others.
    """

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

    Attributes:
        name: Of what is examined.
        remedy: What to look at if a process cannot measure at all, or hangs.
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


GRACE = 10.0
"""Seconds for what lies between two checks."""


class Examination:
    """Examines; `run` gives the same report on every process.

    Args:
        checks: In the order in which they are made.
        group: Of all processes.
        seconds: That each check may take.

    A check that hangs is left in a thread of its own. Attribute `hanging` says whether that happened: such a process has to be ended
    without waiting for its threads.
    """

    def __init__(self, checks: Sequence[Check], group: Group, seconds: float):
        self.checks = list(checks)
        self.group = group
        self.seconds = seconds
        self.hanging = False

    def run(self) -> Report:
        self.group.meet()
        findings = {"processes": self._same_everywhere("processes", self._attendance())}
        for check in self.checks:
            self.group.answer(f"{check.name}: measured", self._measure(check))
            finding = self._judge(check) if self.group.rank == 0 else None
            findings[check.name] = self._same_everywhere(check.name, finding)
        self.group.answer("goodbye", "")
        if self.group.rank == 0:
            self.group.answers("goodbye", GRACE)  # who keeps the meeting place leaves last
        return Report(self.group.size, dict(self.group.hosts), findings)

    def _attendance(self) -> Finding:
        group = self.group
        by = f", started by {group.started_by}" if group.started_by else ""
        if group.missing:
            return failed(
                f"{group.named(group.missing)} did not come within {group.arrival:g} s ({len(group.hosts)} of {group.size} came{by})",
                "look whether it was started and can reach the first node (name resolution, firewall, network interface)",
            )
        nodes = dict.fromkeys(group.hosts.values())
        return ok(f"{group.size} on {', '.join(nodes)}{by}" if group.size > 1 else f"one, on {next(iter(nodes))}")

    def _measure(self, check: Check) -> dict[str, Any]:
        """{facts}, {skipped}, {error}, {alone: who is missing} or {hung}, within the time."""
        answer: dict[str, Any] = {}

        def work() -> None:
            try:
                answer["facts"] = check.measure(self.group)
            except NotApplicableError as reason:
                answer["skipped"] = str(reason)
            except ProcessMissingError as error:
                answer["alone"] = str(error)
            except Exception as error:
                answer["error"] = " ".join(f"{type(error).__name__}: {error}".split())[:500]

        thread = threading.Thread(target=work, daemon=True, name=check.name)
        thread.start()
        thread.join(self.seconds)
        if thread.is_alive():
            self.hanging = True
            return {"hung": True}
        return answer

    def _judge(self, check: Check) -> Finding:
        hosts, absent = self.group.hosts, set(self.group.missing)
        answers = self.group.answers(f"{check.name}: measured", self.seconds + GRACE)
        alone = {rank: answer["alone"] for rank, answer in answers.items() if "alone" in answer}
        if alone and absent:
            return skipped(f"needs all processes, {self.group.named(absent)} is missing: see above")
        hung = [rank for rank, answer in answers.items() if "hung" in answer]
        errors = alone | {rank: answer["error"] for rank, answer in answers.items() if "error" in answer}
        silent = self.group.missing - absent
        if hung or errors or silent:
            parts = [f"{self.group.named([rank])}: {error}" for rank, error in errors.items()]
            parts += [f"{self.group.named(hung)} hung for {self.seconds:g} s"] if hung else []
            parts += [f"{self.group.named(silent)} has gone silent"] if silent else []
            troubled = {hosts[rank] for rank in {*errors, *hung, *silent}}
            fine = set(hosts.values()) - troubled
            return replace(failed("; ".join(parts), check.remedy), nodes=tuple(sorted(troubled)) if fine else ())
        measured = [Measured(rank, hosts[rank], a["facts"]) for rank, a in answers.items() if "facts" in a]
        if not measured:
            return skipped(next(iter(answers.values()))["skipped"])
        found = check.judge(measured)
        return replace(found, nodes=failing(check, measured)) if found.verdict is Verdict.FAILED else found

    def _same_everywhere(self, name: str, finding: Finding | None) -> Finding:
        """The finding of process 0, on every process."""
        if self.group.rank == 0 and finding is not None:
            self.group.say(f"{name}: finding", asdict(finding))
            return finding
        heard = self.group.hear(f"{name}: finding", self.seconds + 2 * GRACE)
        return Finding(Verdict(heard["verdict"]), heard["found"], heard["advice"], tuple(heard["nodes"]))


def failing(check: Check, measured: Sequence[Measured]) -> tuple[str, ...]:
    """The machines by whose fault the check fails, if others are fine: those that fail by themselves, or the one without which it holds."""
    hosts = list(dict.fromkeys(one.host for one in measured))

    def fails(chosen: Sequence[str]) -> bool:
        return check.judge([one for one in measured if one.host in chosen]).verdict is Verdict.FAILED

    found = [host for host in hosts if fails([host])]
    if not found and len(hosts) > 2:
        found = [host for host in hosts if not fails([other for other in hosts if other != host])]
        found = found if len(found) == 1 else []
    return tuple(found) if len(found) < len(hosts) else ()
