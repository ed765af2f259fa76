"""Everything that a study's evaluations have found: read from the run directories, and checked to be measured alike.

Two seeds of a row may differ in the sampling seeds. A row and its `against` draw from the same sampling seeds and may differ in what the
row declares: a change of `sampler.eta`, or of `draw.eta`, explains a difference of the protocol's field sampler.eta. All else is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from difflab.evaluation import Measurement, Results, Target, read_targets
from difflab.evaluation.results import declared, label
from difflab.metrics import MetricInfo, ProtocolMismatch, check_comparable
from difflab.reading import parse_json, read_text
from difflab.runs import RunDirectory
from difflab.studies.execution.state import notes_of, seconds_of
from difflab.studies.planning.plan import Cell, Facts, Plan
from difflab.studies.spec import Row, Study, StudyError


@dataclass(frozen=True)
class Replicate:
    """A row at one seed, finished.

    Attributes:
        run: Directory of the run.
        measurements: Metric -> the number that evaluate.py found.
        notes: What evaluate.py had to say of them.
        seconds_per_image: That drawing took, on the machine of the evaluation; None for images of an earlier version.
    """

    seed: int
    run: Path
    measurements: Mapping[str, Measurement]
    notes: tuple[str, ...] = ()
    seconds_per_image: float | None = None


@dataclass(frozen=True)
class Arm:
    """A row with what was found.

    Attributes:
        config: Resolved, at the first seed.
        replicates: By seed, in the study's order; those that are not finished are absent.
        missing: The seeds without a result that may still come.
        diverged: The seeds whose training has diverged: they have no number and count against the row.
        published: Metric -> number of the source.
        follows: See RowPlan.
        explains: See RowPlan.
    """

    row: Row
    config: Mapping[str, Any]
    facts: Facts
    replicates: Mapping[int, Replicate]
    missing: tuple[int, ...]
    published: Mapping[str, Target]
    follows: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()
    diverged: tuple[int, ...] = ()

    def measured(self, metric: str) -> list[Measurement]:
        """The number of each seed."""
        return [one.measurements[metric] for one in self.replicates.values()]

    def values(self, metric: str) -> dict[int, float]:
        """seed -> value; not a number where the metric gave none."""
        return {seed: one.measurements[metric].value for seed, one in self.replicates.items()}

    def failed(self, metric: str) -> dict[int, str]:
        """seed -> why it has no number, of the runs that have ended."""
        values = self.values(metric)
        why = {seed: self.replicates[seed].measurements[metric].why or "no number" for seed in values}
        return {seed: why[seed] for seed in values if not math.isfinite(values[seed])} | dict.fromkeys(
            self.diverged, "diverged"
        )


@dataclass(frozen=True)
class Evidence:
    """All arms, in the table's order. Their numbers were checked to be measured alike but for what rows declare.

    Attributes:
        remarks: What has to be said of the study besides its numbers: looks, later changes, related studies.
    """

    study: Study
    arms: Mapping[str, Arm]
    remarks: tuple[str, ...] = ()

    def against(self, arm: Arm) -> Arm:
        return self.arms[arm.row.against]

    def label(self, metric: str, counted: bool = True) -> str:
        """What a metric is called for people, as FID (50k); its key before the first result.

        Args:
            metric: Its key.
            counted: Whether with the number of images.
        """
        for arm in self.arms.values():
            for one in arm.replicates.values():
                if metric in one.measurements:
                    found = one.measurements[metric]
                    return label(found if counted else replace(found, samples=0))
        return metric

    def info(self, metric: str) -> MetricInfo | None:
        """What kind of number a metric is, which all results declare alike.

        Returns:
            None before the first result, unless the study's file states it.

        Raises:
            StudyError: If a result declares nothing, or two of them not the same.
        """
        first = None
        for arm in self.arms.values():
            for one in arm.replicates.values():
                if metric not in one.measurements:
                    continue
                where = f"row {arm.row.name}, seed {one.seed}"
                try:
                    info = declared(one.measurements[metric], None, f"{where}: {one.run}", study=True).info
                except ValueError as error:
                    raise StudyError(str(error)) from error
                first = first or (where, info)
                if info != first[1]:
                    raise StudyError(
                        f"{metric} is not one metric: {first[0]} declares {first[1]}, and {where} {info}. "
                        "Measure all rows by one version of it"
                    )
        return first[1] if first else self.study.evaluation.info.get(metric)


def check_measured_alike(study: Study, arms: Mapping[str, Arm]) -> None:
    """A StudyError that names row, seed, field and both values at the first difference that no declared change explains."""
    for arm in arms.values():
        for metric in study.evaluation.metrics:
            _check_seeds(arm, metric)
            if arm.row.name != study.baseline:
                _check_rows(arm, arms[arm.row.against], metric)


def _check_seeds(arm: Arm, metric: str) -> None:
    replicates = list(arm.replicates.values())
    for other in replicates[1:]:
        first = replicates[0]
        try:
            check_comparable(first.measurements[metric].protocol, other.measurements[metric].protocol, ["seeds"])
        except ProtocolMismatch as error:
            field, mine, theirs = error.differences[0]
            raise StudyError(
                f"row {arm.row.name}, seed {other.seed}: {metric} was measured with {field} = {theirs}, and at seed {first.seed} with "
                f"{field} = {mine}: seeds of a row may differ in their sampling seeds alone. Remove {other.run}'s evaluation, or that of "
                f"{first.run}, and launch again"
            ) from error


def _check_rows(arm: Arm, against: Arm, metric: str) -> None:
    common = [seed for seed in arm.replicates if seed in against.replicates]
    pairs = [(seed, seed) for seed in common]
    waived = list(arm.explains)
    if not common and arm.replicates and against.replicates:
        pairs, waived = [(next(iter(arm.replicates)), next(iter(against.replicates)))], [*waived, "seeds"]
    for mine, theirs in pairs:
        try:
            check_comparable(
                arm.replicates[mine].measurements[metric].protocol,
                against.replicates[theirs].measurements[metric].protocol,
                waived,
            )
        except ProtocolMismatch as error:
            field, ours, other = error.differences[0]
            raise StudyError(
                f"row {arm.row.name}, seed {mine}: {metric} was measured with {field} = {ours}, and that of row {against.row.name} with "
                f"{field} = {other}, which nothing explains that the row changes ({', '.join(arm.row.change)}). Evaluate both alike, or "
                f"name the change in the row's `change`"
            ) from error


DIVERGED = "diverged"
"""How provenance.json says that a training has ended whose loss went to infinity."""


def gather(plan: Plan) -> Evidence:
    """What there is.

    A StudyError that names row, seed and file if a file is torn, was changed by hand or is another run's, if it lacks a metric of the
    study, or if numbers were not measured alike (`comparability`).
    """
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
    return Replicate(cell.seed, training.directory, measurements, notes_of(subject), seconds_of(subject))


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
