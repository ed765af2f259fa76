"""The findings, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from difflab.launch.doctor.finding import Finding, Verdict
from difflab.strict_json import dumps

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
