"""Everything that a study's evaluations have found, read from the run directories and checked.

Whether a study's numbers were measured alike: between the seeds of a row, and between a row and the one that it is compared with.

Two seeds of a row may differ in the sampling seeds. A row and its `against` draw from the same sampling seeds and may differ in what the
row declares: a change of `sampler.eta`, or of `draw.eta`, explains a difference of the protocol's field sampler.eta. All else is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from difflab.evaluation import Measurement
from difflab.evaluation.published import Target
from difflab.evaluation.results import declared, label
from difflab.metrics import MetricInfo, ProtocolMismatch, check_comparable
from difflab.studies.planning.plan import Facts
from difflab.studies.spec import Row, Study, StudyError


@dataclass(frozen=True)
class Replicate:
    """A row at one seed, finished.

    run           directory of the run
    measurements  metric -> the number that evaluate.py found
    notes         what evaluate.py had to say of them
    """

    seed: int
    run: Path
    measurements: Mapping[str, Measurement]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arm:
    """A row with what was found.

    config      resolved, at the first seed
    replicates  by seed, in the study's order; those that are not finished are absent
    missing     the seeds without a result that may still come
    diverged    the seeds whose training has diverged: they have no number and count against the row
    published   metric -> number of the source
    follows     see RowPlan
    explains    see RowPlan
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
