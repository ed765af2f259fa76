"""The table of a folder of studies: a line for each row that a study compares, what its runs show, and what the literature says of it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from difflab.formatting import NOTHING, full
from difflab.studies.evidence import Evidence
from difflab.studies.nodes import Literature
from difflab.studies.report.table_cells import Column, Content, Grid, difference_text, headed
from difflab.studies.spec import Row, Study
from difflab.studies.statistics import Outcome, Verdict

NOT_RUN = "not run"


class Agreement(StrEnum):
    """Whether a verdict is what the literature says."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    UNKNOWN = "cannot tell"


def agreement(literature: Literature, outcome: Outcome) -> Agreement:
    """A row that has failed is worse; before a verdict, and where it is inconclusive, nothing can be told.

    An equivalent row disagrees with a claim that it is better or worse: a difference as large as the margin was excluded.
    """
    if outcome in (Outcome.INCONCLUSIVE, Outcome.INTERIM):
        return Agreement.UNKNOWN
    found = Outcome.WORSE if outcome is Outcome.FAILED else outcome
    return Agreement.AGREES if found.value == literature.finds else Agreement.DISAGREES


@dataclass(frozen=True)
class Answered:
    """A study of the family.

    Attributes:
        evidence: What its runs have found; None where none has a result.
        verdicts: Row -> on the deciding metric; empty without results.
    """

    study: Study
    evidence: Evidence | None
    verdicts: Mapping[str, Verdict]

    def seeds(self, row: Row) -> int:
        """At how many the row and the one it is compared with have a result."""
        if self.evidence is None:
            return 0
        mine, other = self.evidence.arms[row.name], self.evidence.arms[row.against]
        return len(mine.replicates.keys() & other.replicates.keys())

    def agreement(self, row: Row) -> Agreement | None:
        """None where there is nothing to compare."""
        if row.literature is None or row.name not in self.verdicts:
            return None
        return agreement(row.literature, self.verdicts[row.name].outcome)

    @property
    def decides(self) -> str:
        """The deciding metric as people call it."""
        metric = self.study.evaluation.decides
        return metric if self.evidence is None else headed(self.evidence.label(metric), self.evidence.info(metric))


def family_grid(family: Sequence[Answered]) -> Grid:
    """The cells, and below them what was said by whom, looks at the studies, and those that were not run."""
    columns = [
        Column("study", "study", is_number=False),
        Column("row", "label", is_number=False),
        Column("compared with", "against", is_number=False),
        Column("by", "metric", is_number=False),
        Column("difference", "delta"),
        Column("seeds", "n"),
        Column("verdict", "verdict", is_number=False),
        Column("literature", "literature", is_number=False),
        Column("ours", "agreement", is_number=False),
    ]
    names, cells = list[str](), list[list[Content]]()
    for one in family:
        for row in one.study.compared():
            names.append(f"{one.study.name}/{row.name}")
            cells.append(_cells(one, row))
    return Grid(columns, names, cells, [], _notes(family))


def _cells(one: Answered, row: Row) -> list[Content]:
    verdict, found, agrees = one.verdicts.get(row.name), row.literature, one.agreement(row)
    difference = NOTHING  # before all runs have ended, too: who looks at the others shall not look at it
    if verdict is not None and verdict.difference is not None and verdict.outcome is not Outcome.INTERIM:
        text, spread = difference_text(verdict.difference)
        difference = text if spread is None else f"{text} ± {spread}"
    answer = NOT_RUN if verdict is None else verdict.outcome.value + ", also on average" * verdict.on_average
    return [
        Content(_short(one.study)),
        Content(row.label),
        Content(one.study.rows[row.against].label),
        Content(one.decides),
        Content(difference),
        Content(f"{one.seeds(row)} of {len(one.study.seeds)}"),
        Content(answer, strong=verdict is not None and verdict.outcome in (Outcome.BETTER, Outcome.WORSE)),
        Content(NOTHING if found is None else found.finds),
        Content(NOTHING if agrees is None else agrees.value, strong=agrees is Agreement.DISAGREES),
    ]


def _short(study: Study) -> str:
    """Its name within the family."""
    return study.name.rpartition("/")[2]


def _notes(family: Sequence[Answered]) -> list[str]:
    there = [one for one in family if one.evidence is not None]
    notes = []
    if there:
        levels = [one.study.alpha for one in there]
        chance = 100 * (1 - math.prod(1 - alpha for alpha in levels))
        told = ", ".join(f"{100 * (1 - alpha):g} %" for alpha in sorted(set(levels)))
        notes.append(
            f"difference, [ ]: of the row to the one it is compared with, at equal seeds, with an interval of {told} (Student's t); bold: "
            "better, worse, or against the literature. Verdicts are corrected by Holm's method within each study and not over the family: "
            f"over {len(there)} of them the chance of at least one false difference is up to {chance:.0f} %."
        )
    for one in family:
        said = [
            f"{row.label}: {row.literature.says} ({row.literature.source})"
            for row in one.study.compared()
            if row.literature
        ]
        notes += [f"{_short(one.study)}: {'; '.join(said)}."] if said else []
    margins = [(one, one.study.margins.get(one.study.evaluation.decides)) for one in family]
    notes += _by_text((one, f"equivalent is within ± {margin}.") for one, margin in margins if margin is not None)
    notes += _by_text((one, remark) for one in there if one.evidence for remark in one.evidence.remarks)
    if lacking := [_short(one.study) for one in family if one.evidence is None]:
        notes.append(f"Not run: {', '.join(lacking)}.")
    return notes


def _by_text(remarks: Iterable[tuple[Answered, str]]) -> list[str]:
    """What holds of several studies is said once."""
    found: dict[str, list[str]] = {}
    for one, text in remarks:
        found.setdefault(text, []).append(_short(one.study))
    return [f"{', '.join(names)}: {text}" for text, names in found.items()]


COLUMNS: tuple[str, ...] = (
    "study", "row", "label", "against", "metric", "n", "planned", "delta", "delta_low", "delta_high", "delta_unit", "p_holm", "verdict",
    "on_average", "margin", "literature", "literature_says", "literature_source", "agreement",
)  # fmt: skip


def family_csv(family: Sequence[Answered]) -> str:
    """A line for each row that is compared, every number in full."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for one in family:
        for row in one.study.compared():
            writer.writerow({key: full(value) for key, value in _values(one, row).items()})
    return out.getvalue()


def _values(one: Answered, row: Row) -> dict[str, object]:
    study, verdict, agrees = one.study, one.verdicts.get(row.name), one.agreement(row)
    margin = study.margins.get(study.evaluation.decides)
    values: dict[str, object] = {
        "study": study.name,
        "row": row.name,
        "label": row.label,
        "against": row.against,
        "metric": study.evaluation.decides,
        "n": one.seeds(row),
        "planned": len(study.seeds),
        "verdict": NOT_RUN if verdict is None else verdict.outcome.value,
        "margin": "" if margin is None else str(margin),
        "agreement": "" if agrees is None else agrees.value,
    }
    if row.literature is not None:
        values |= {
            "literature": row.literature.finds,
            "literature_says": row.literature.says,
            "literature_source": row.literature.source,
        }
    if verdict is not None:
        values |= {"p_holm": verdict.p, "on_average": int(verdict.on_average)}
        if (difference := verdict.difference) is not None and verdict.outcome is not Outcome.INTERIM:
            low, high = difference.limits or (None, None)
            unit = difference.scale.unit.strip()
            values |= {"delta": difference.value, "delta_low": low, "delta_high": high, "delta_unit": unit}
    return values
