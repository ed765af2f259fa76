"""What a study's runs have found: the input of statistics, tables and reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from difflab.metrics import Measurement
from difflab.metrics.published import Target
from difflab.studies.facts import Facts
from difflab.studies.study import Row, Study


@dataclass(frozen=True)
class Replicate:
    """A row at one seed, finished.

    run           directory of the run
    measurements  metric -> the number that evaluate.py found
    """

    seed: int
    run: Path
    measurements: Mapping[str, Measurement]


@dataclass(frozen=True)
class Arm:
    """A row with what was found.

    config      resolved, at the first seed
    replicates  by seed, in the study's order; those that are not finished are absent
    missing     the seeds without a result
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

    def values(self, metric: str) -> dict[int, float]:
        """seed -> value"""
        return {seed: one.measurements[metric].value for seed, one in self.replicates.items()}


@dataclass(frozen=True)
class Evidence:
    """All arms, in the table's order. Their numbers were checked to be measured alike but for what rows declare."""

    study: Study
    arms: Mapping[str, Arm]

    def against(self, arm: Arm) -> Arm:
        return self.arms[arm.row.against]
