"""What a study's runs have found: the input of statistics, tables and reports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from difflab.metrics import Measurement, MetricInfo
from difflab.metrics.published import Target
from difflab.metrics.results import declared, label
from difflab.studies.facts import Facts
from difflab.studies.study import Row, Study, StudyError


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
    """

    row: Row
    config: Mapping[str, Any]
    facts: Facts
    replicates: Mapping[int, Replicate]
    missing: tuple[int, ...]
    published: Mapping[str, Target]
    follows: tuple[str, ...] = ()
    diverged: tuple[int, ...] = ()

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
