"""The report of a study: one HTML page that holds everything it shows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from difflab.files import write_text
from difflab.formatting import duration, full, probability, scaled, short
from difflab.pages import Look, Overlay, looks, render, script_safe
from difflab.studies.evidence import Evidence
from difflab.studies.execution.state import CellState
from difflab.studies.history import History, read_history
from difflab.studies.report.budgets import QUARTERS, speedups, time_losses, tradeoffs
from difflab.studies.report.costs import Trained, by_row, changed, code, commits, costs, trained, troubled, unfinished
from difflab.studies.report.curves import AXES, HEIGHT, curves, cut_short
from difflab.studies.report.figure import difference, forest, outcomes, plainly, ratio, sentence
from difflab.studies.report.grids import Source, embedded, panels
from difflab.studies.report.setup import configurations, protocols, setup
from difflab.studies.report.strips import strips
from difflab.studies.report.table import ablation_table
from difflab.studies.report.table_markup import Html
from difflab.studies.scale import scale_of
from difflab.studies.statistics import (
    RULE,
    Outcome,
    PairedDifference,
    Verdict,
    pilot,
    pilots,
    power_by_row,
    power_sentence,
    sign_test,
    verdicts,
)

TITLES = {
    "table": "Results",
    "setup": "Setup",
    "differences": "Differences",
    "curves": "Curves",
    "samples": "Samples",
    "strips": "From noise to image",
    "noise": "Noise and weights",
    "tradeoffs": "Trade-offs",
    "times": "Loss over time",
    "protocol": "Protocol",
    "changes": "What rows change",
    "costs": "Costs and failures",
}
"""Sections, in their order."""

FOLDED_FROM = 16

PICTURES, STRIPS = 2_000_000, 0.3
"""Bytes of all pictures in the page at most, and the share of them that strips have; the others are samples."""


def content(
    evidence: Evidence, states: Sequence[CellState], pictures: int = PICTURES, noise: Overlay | None = None
) -> dict[str, Any]:
    study = evidence.study
    decides = study.evaluation.decides
    info = evidence.info(decides)
    look = looks(list(evidence.arms), study.baseline)
    rows = trained(evidence, states, look)
    histories = {row.rows[0]: {seed: read_history(run) for seed, run in row.runs.items()} for row in rows}
    answers = verdicts(evidence, decides)
    shown = {
        "study": study,
        "level": f"{100 * (1 - study.alpha):g} %",
        "margin": study.margins.get(decides),
        "rule": RULE,
        "direction": f"{info.direction} is better" if info and info.direction else "",
        "decides": evidence.label(decides),
        "metric_labels": {metric: evidence.label(metric) for metric in study.evaluation.metrics},
        "labels": {name: arm.row.label for name, arm in evidence.arms.items()},
        "looks": look,
        "row_style": _row_style(look, study.baseline),
        "verdicts": answers,
        **_answered(answers),
        "protocols": protocols(evidence),
        "changes": configurations(evidence),
        "noise": noise,
        "tradeoffs": tradeoffs(evidence, look),
        "times": time_losses(rows, histories, study.alpha),
        "quarters": QUARTERS,
    }
    shown |= _table(evidence, answers) | _differences(evidence, answers, look)
    shown |= _curves(evidence, rows, histories) | _samples(rows, pictures)
    shown |= _costs(rows, histories) | _unfinished(evidence, states)
    shown["setup"] = setup(evidence.arms, shown["costs"])
    return shown | {"sections": _sections(shown)}


def _sections(shown: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Those that have something to show."""
    empty = {
        "samples": not shown["grids"].panels,
        "strips": not shown["strips"],
        "noise": shown["noise"] is None,
        "tradeoffs": not shown["tradeoffs"],
        "times": not shown["times"].plot and not shown["times"].unlike,
        "changes": not shown["changes"],
    }
    return [(name, title) for name, title in TITLES.items() if not empty.get(name)]


def _answered(answers: Mapping[str, Verdict]) -> dict[str, Any]:
    """Of very many rows those that have an answer; the others are folded."""
    many = len(answers) > FOLDED_FROM
    open_ones = [(row, one) for row, one in answers.items() if one.outcome is Outcome.INCONCLUSIVE]
    folded = open_ones if many else []
    return {"answered": [pair for pair in answers.items() if pair not in folded], "folded": folded}


def _row_style(look: Mapping[str, Look], baseline: str) -> str:
    """The colours of the table's lines; a row's name is that of a folder and needs no escaping."""
    lines = [f'.ablation tr[data-row="{row}"] {{ --c: var(--{one.colour}); }}' for row, one in look.items()]
    return "\n".join([*lines, f'.ablation tr[data-row="{baseline}"] > * {{ background: var(--sunk); }}'])


def _table(evidence: Evidence, answers: Mapping[str, Verdict]) -> dict[str, str]:
    table, end, notes = Html().render(ablation_table(evidence, answers, allow_missing=True)).partition("</table>")
    return {"table": re.sub(r"(>|\[|, )-(?=\d)", r"\1−", table) + end, "notes": notes}  # the minus sign of print


def _differences(evidence: Evidence, answers: Mapping[str, Verdict], look: Mapping[str, Look]) -> dict[str, Any]:
    study, decides = evidence.study, evidence.study.evaluation.decides
    differences = {name: one.difference for name, one in answers.items() if one.difference is not None}
    paired = {name: one for name, one in differences.items() if one.pairing is not None and one.sign_flip is not None}
    known = pilot(evidence, decides)
    by_row = {study.rows[row].label: one for row, one in pilots(evidence, decides).items()}
    info, margin = evidence.info(decides), study.margins.get(decides)
    return {
        "is_ratio": info is not None and info.ratio,
        "shaded": margin is not None and margin.scale is scale_of(info),
        "signs": {name: _by_signs(one) for name, one in paired.items()},
        "forest": forest(evidence, answers, decides, look),
        "paired_rows": list(paired.items()),
        "attainable": min((one.sign_flip.attainable for one in paired.values() if one.sign_flip), default=None),
        "power": known and power_sentence(known, len(study.seeds), study.alpha, len(answers), margin),
        "power_by_row": power_by_row(by_row, len(study.seeds), study.alpha, len(answers)),
    }


def _by_signs(difference: PairedDifference) -> float:
    values = difference.differences.values()
    return sign_test(sum(d > 0 for d in values), sum(d < 0 for d in values))


def _curves(
    evidence: Evidence, rows: Sequence[Trained], histories: Mapping[str, Mapping[int, History]]
) -> dict[str, Any]:
    study, decides = evidence.study, evidence.study.evaluation.decides
    info = evidence.info(decides)
    found = curves(rows, histories, study.baseline, decides, study.alpha)
    return {
        "curves": script_safe(found) if found else "",
        "curve_names": {name: one["label"] for name, one in found.get("metrics", {}).items()},
        "curves_height": HEIGHT,
        "curve_notes": cut_short(rows, histories),
        "axes": AXES,
        "speedups": speedups(rows, histories, decides, info, study.alpha) if info else [],
    }


def _samples(rows: Sequence[Trained], limit: int) -> dict[str, Any]:
    sources = [Source(row.label, row.look, row.runs, row.track) for row in rows] if limit else []
    of_strips = round(STRIPS * limit)
    grids = embedded(panels(sources), limit - of_strips)
    data = script_safe({"steps": grids.steps, "images": grids.images})
    return {"grids": grids, "grids_data": data, "strips": strips(sources, of_strips)}


def _costs(rows: Sequence[Trained], histories: Mapping[str, Mapping[int, History]]) -> dict[str, Any]:
    found = costs(rows, histories)
    trainings, of_code, uncommitted = sum(len(one.seeds) for one in found), commits(found), changed(rows)
    warnings = []
    if len(of_code) > 1:
        warnings.append(f"The trainings ran different commits of the code: {', '.join(one[:10] for one in of_code)}.")
    if uncommitted:
        warnings.append(
            f"{uncommitted} of {trainings} trainings ran code with changes that were not committed; their provenance.json has them."
        )
    return {
        "costs": found,
        "code": code(found),
        "troubled": troubled(found),
        "trainings": trainings,
        "hours": sum(one.hours for one in found),
        "warnings": warnings,
    }


def _unfinished(evidence: Evidence, states: Sequence[CellState]) -> dict[str, Any]:
    found = unfinished(evidence, states)
    cells = len(evidence.study.rows) * len(evidence.study.seeds)
    return {"unfinished": found, "unfinished_rows": by_row(found), "cells": cells}


STYLES = ("report.css", "grids.css")
SCRIPTS = ("curves.js", "grids.js")
FILTERS = (
    *(short, scaled, duration, ratio, difference),
    *(outcomes, plainly, sentence, full, probability),
)
"""Of templates, by their names."""


def write_report(
    evidence: Evidence,
    states: Sequence[CellState],
    path: str | Path,
    written: date | None = None,
    pictures: int | None = None,
    noise: Overlay | None = None,
) -> Path:
    """Writes the page, whole or not at all; where it is.

    Args:
        states: Of all cells of the study.
        written: The date that the page bears; today's if None.
        pictures: Bytes of all samples and strips in the page at most, None for `PICTURES`; 0 leaves them out.
        noise: Noise and weights of the rows, as the plan has them.
    """
    path = Path(path)
    shown = content(evidence, states, PICTURES if pictures is None else pictures, noise)
    text = render("difflab.studies.report", "page.html.jinja", shown, STYLES, SCRIPTS, FILTERS, written)
    write_text(path, text)
    return path
