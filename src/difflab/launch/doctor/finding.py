"""What an examination says of one thing: fine or not, what was found, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


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
