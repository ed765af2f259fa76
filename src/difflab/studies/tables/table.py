"""The table of an ablation: each row's numbers, and its difference to the row that it is compared with.

In the manner of "Diffusion Models Beat GANs", tables 1 to 3, where the first line is absolute and the others are differences; here both
stand side by side, with intervals, and with what was published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from difflab.metrics import Target
from difflab.studies.evidence import Arm, Evidence
from difflab.studies.inference import Verdict
from difflab.studies.study import StudyError
from difflab.studies.tables.estimate import Estimate, estimate


@dataclass(frozen=True)
class Line:
    """A row of the study.

    arm              what it is, and what was found of it
    estimates        metric -> its number; None without a finished seed
    verdict          on its difference to `against`; None for the baseline
    published        metric -> number of the source
    published_delta  metric -> the source's number less that of `against`, where both were published
    """

    arm: Arm
    estimates: Mapping[str, Estimate | None]
    verdict: Verdict | None
    published: Mapping[str, Target]
    published_delta: Mapping[str, float]


@dataclass(frozen=True)
class AblationTable:
    """lines   by row, in the study's order"""

    evidence: Evidence
    lines: Mapping[str, Line]


def ablation_table(evidence: Evidence, verdicts: Mapping[str, Verdict], allow_missing: bool = False) -> AblationTable:
    """verdicts        row -> on the deciding metric; of all rows but the baseline
    allow_missing   whether rows may lack seeds; they then say how many they have. A StudyError names them otherwise
    """
    study = evidence.study
    lacking = {name: arm.missing for name, arm in evidence.arms.items() if arm.missing}
    if lacking and not allow_missing:
        named = "; ".join(f"{name} (seed {', '.join(map(str, seeds))})" for name, seeds in lacking.items())
        raise StudyError(
            f"{study.name} lacks results of {named}: launch the study again, or take the table as it is with missing=allow"
        )
    lines = {}
    for name, arm in evidence.arms.items():
        is_baseline = name == study.baseline
        lines[name] = Line(
            arm=arm,
            estimates={metric: estimate(arm, metric, study.alpha) for metric in study.evaluation.metrics},
            verdict=None if is_baseline else verdicts[name],
            published=arm.published,
            published_delta={} if is_baseline else _published_delta(arm, evidence.against(arm)),
        )
    return AblationTable(evidence, lines)


def _published_delta(arm: Arm, against: Arm) -> dict[str, float]:
    """In decimals, as they are printed: 13.21 - 15.33 is -2.12."""
    return {
        metric: float(Decimal(repr(target.value)) - Decimal(repr(against.published[metric].value)))
        for metric, target in arm.published.items()
        if metric in against.published
    }
