"""The answer of a study in W&B: its table, the numbers by seed, and its page."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from difflab.runs.listing import run_id
from difflab.runs.wandb.after_training import Content, Table, mirror_nodes
from difflab.studies.evidence import Evidence
from difflab.studies.planning import Plan
from difflab.studies.report.table import ablation_table
from difflab.studies.report.table_text import Csv
from difflab.studies.statistics import Verdict

_log = logging.getLogger(__name__)


def mirror_study(plan: Plan, evidence: Evidence, verdicts: Mapping[str, Verdict], page: Path) -> None:
    """Sends the table with its verdicts, the numbers by seed and the page to W&B.

    They are in the W&B run `study-<name>`, of job type study, in the project of the study's runs.

    Args:
        plan: Of the study.
        evidence: What its runs have found.
        verdicts: Row -> on the deciding metric.
        page: The report.
    """
    arms = list(evidence.arms.values())
    node = next((node for arm in arms for node in mirror_nodes(arm.config.get("logger") or {})), None)
    if node is None:
        return
    try:
        from difflab.runs.wandb.results import publish
        from difflab.runs.wandb.service import WandbError, chosen_mode
    except ImportError as error:
        _log.warning("W&B does not get the results of %s: %s", plan.study.name, error)
        return
    try:
        mode = chosen_mode(node["mode"])
    except WandbError as error:
        _log.warning("W&B does not get the results of %s: %s", plan.study.name, error)
        return
    from difflab.runs.wandb.description import Description, Said, tags_of

    study = plan.study
    content = Content(
        numbers={f"verdict/{row}": verdict.outcome.value for row, verdict in verdicts.items()},
        tables={"study": _verdicts(evidence, verdicts), "seeds": Table(_COLUMNS, list(_by_seed(evidence)))},
        pages={"report": page},
    )
    said = Said(f"study {study.name}", study.question, tags_of(node.get("tags")))
    description = Description(study.project, node.get("entity"), f"study-{study.project}", None, "study", said)
    told = {
        "study": study.name,
        "question": study.question,
        "claim": study.claim,
        "baseline": study.baseline,
        "seeds": list(study.seeds),
    }
    publish(content, description, {"run": {"name": "study"}}, told, mode, plan.root)


def _verdicts(evidence: Evidence, verdicts: Mapping[str, Verdict]) -> Table:
    """The columns of `table format=csv`, numbers as numbers."""
    rows = list(csv.reader(io.StringIO(Csv().render(ablation_table(evidence, verdicts, allow_missing=True)))))
    return Table(rows[0], [[_number(cell) for cell in row] for row in rows[1:]])


_COLUMNS = ("row", "seed", "metric", "value", "low", "high", "protocol", "run")


def _by_seed(evidence: Evidence) -> Iterator[tuple[Any, ...]]:
    for name, arm in evidence.arms.items():
        for seed, one in arm.replicates.items():
            for metric, measured in one.measurements.items():
                low, high = measured.interval() or (None, None)
                yield name, seed, metric, measured.value, low, high, measured.protocol.fingerprint, run_id(one.run)


def _number(cell: str) -> float | str | None:
    """A cell of a table as a number where it is one; W&B gives a column one kind, so an empty cell is none."""
    if not cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return cell
