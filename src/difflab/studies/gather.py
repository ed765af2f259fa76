"""Everything that a study's evaluations have found, read from the run directories and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from difflab.evaluation import Measurement, Results, Target, read_targets
from difflab.evaluation.results import declared
from difflab.reading import parse_json, read_text
from difflab.runs import RunDirectory
from difflab.studies.cost import notes_of
from difflab.studies.evidence import Arm, Evidence, Replicate, check_measured_alike
from difflab.studies.planning.plan import Cell, Plan
from difflab.studies.spec import StudyError

DIVERGED = "diverged"
"""How provenance.json says that a training has ended whose loss went to infinity."""


def gather(plan: Plan) -> Evidence:
    """What there is. A StudyError that names row, seed and file if a file is torn, was changed by hand or is another run's, if it lacks a
    metric of the study, or if numbers were not measured alike (`comparability`)."""
    study, found, diverged = plan.study, dict[str, dict[int, Replicate]](), dict[str, set[int]]()
    for cell in plan.cells:
        file = plan.results(cell)
        if file.exists():
            found.setdefault(cell.row, {})[cell.seed] = _replicate(plan, cell, file)
        elif RunDirectory(plan.training(cell).directory).status() == DIVERGED:
            diverged.setdefault(cell.row, set()).add(cell.seed)
    arms = {}
    for name, row in study.rows.items():
        resolved, replicates, lost = plan.rows[name], found.get(name, {}), diverged.get(name, set())
        arms[name] = Arm(
            row=row,
            config=resolved.config,
            facts=resolved.facts,
            replicates={seed: replicates[seed] for seed in study.seeds if seed in replicates},
            missing=tuple(seed for seed in study.seeds if seed not in replicates and seed not in lost),
            published=_published(name, row.published, resolved.config.get("target") or {}, resolved.facts.steps),
            follows=resolved.follows,
            explains=resolved.explains,
            diverged=tuple(seed for seed in study.seeds if seed in lost),
        )
    check_measured_alike(study, arms)
    return Evidence(study, arms)


def _replicate(plan: Plan, cell: Cell, file: Path) -> Replicate:
    where, training = f"row {cell.row}, seed {cell.seed}", plan.training(cell)
    again = f"remove {file} and launch again"
    try:
        text = read_text(file)
        results = Results.from_json(text, file)
        subject = dict(results.subject)
        _check_untouched(results, parse_json(text, file)["measurements"])
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise StudyError(f"{where}: {file} cannot be used ({error}): {again}") from error
    for key, due in (("seed", cell.seed), ("step", training.steps)):
        there = subject.get(key)
        if there is not None and there != due:
            raise StudyError(f"{where}: {file} was measured at {key} {there}, and the study asks for {due}: {again}")
    measurements = {}
    for metric in plan.study.evaluation.metrics:
        of_it = [one for one in results.measurements if one.metric == metric]
        if len(of_it) != 1:
            there_are = ", ".join(dict.fromkeys(one.metric for one in results.measurements)) or "none"
            problem = (
                f"lacks {metric}; there are {there_are}. Choose metrics in the study's evaluation that give it"
                if not of_it
                else f"has {metric} under {len(of_it)} protocols, and it cannot be known which is meant: {again}"
            )
            raise StudyError(f"{where}: {file} {problem}")
        try:
            stated = plan.study.evaluation.info.get(metric)
            measurements[metric] = declared(of_it[0], stated, f"{where}: {file}", study=True)
        except ValueError as error:
            raise StudyError(str(error)) from error
    return Replicate(cell.seed, training.directory, measurements, notes_of(subject))


def _check_untouched(results: Results, rows: Sequence[Mapping[str, Any]]) -> None:
    """A ValueError if a value is no number, or does not lie in its own interval as it was written."""
    for measurement, row in zip(results.measurements, rows, strict=True):
        value, stored = measurement.value, row.get("interval_95")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{measurement.metric} = {value!r} is no number")
        if stored is not None and math.isfinite(value) and not _agree(measurement, row["value"], stored):
            raise ValueError(
                f"{measurement.metric} = {value} does not belong to its interval {stored}: it was changed by hand"
            )


EARLIER_BOUNDS = (0.0, 1.0)
"""Where earlier versions cut intervals, by the metric's name."""


def _agree(measurement: Measurement, value: float, stored: Sequence[float]) -> bool:
    """Whether an interval is the value's, whole or cut at a bound."""
    whole = replace(measurement, value=value, info=None).interval()
    if whole is None:
        return False
    bounds = (*EARLIER_BOUNDS, *(measurement.info.bounds if measurement.info else ()))
    ends = zip(stored, whole, (1, -1), strict=True)
    return all(_close(end, full) or (inwards * (end - full) > 0 and end in bounds) for end, full, inwards in ends)


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)


def _published(row: str, own: Mapping[str, Target], node: Mapping[str, Any], steps: int) -> dict[str, Target]:
    """Metric -> the published number: of several that of our training steps, else the nearest in steps, later ones first."""
    try:
        targets = list(own.values()) or read_targets(node)
    except ValueError as error:
        raise StudyError(f"row {row}: {error}") from error

    def distance(target: Target) -> tuple[float, float]:
        at = math.inf if target.at_step is None else target.at_step
        return (0.0 if target.at_step is None else abs(at - steps), -at)

    chosen: dict[str, Target] = {}
    for target in sorted(targets, key=distance):
        chosen.setdefault(target.metric, target)
    return chosen
