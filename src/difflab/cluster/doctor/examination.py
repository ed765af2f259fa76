"""All checks, one after the other, on all processes at the same time, none for longer than its time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from difflab.cluster.doctor.check import (
    Check,
    Finding,
    Measured,
    NotApplicableError,
    Report,
    Verdict,
    failed,
    ok,
    skipped,
)
from difflab.distributed.group import Group, ProcessMissingError

GRACE = 10.0
"""Seconds for what lies between two checks."""


class Examination:
    """Examines; `run` gives the same report on every process.

    checks    in the order in which they are made
    group     of all processes
    seconds   that each check may take

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
