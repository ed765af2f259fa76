"""How the numbers were measured: what all rows share, and where rows differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from difflab.metrics.protocol import NOT_STATED, Protocol, Value
from difflab.studies.evidence import Evidence

OF_A_SEED = ("seeds",)
"""Fields that differ between the seeds of a row: across rows they are the same ones."""


@dataclass(frozen=True)
class MetricProtocol:
    """Of one metric.

    shared        field -> value that all rows have
    differing     field -> row -> value
    fingerprints  row -> that of its protocol without `OF_A_SEED`
    """

    metric: str
    shared: Mapping[str, Value]
    differing: Mapping[str, Mapping[str, Value]]
    fingerprints: Mapping[str, str]


def protocols(evidence: Evidence) -> list[MetricProtocol]:
    """One for each metric that a finished run has."""
    found = []
    for metric in evidence.study.evaluation.metrics:
        firsts = {
            name: next(iter(arm.replicates.values())).measurements[metric].protocol
            for name, arm in evidence.arms.items()
            if arm.replicates
        }
        if firsts:
            found.append(_compared(metric, {name: one.without(*OF_A_SEED) for name, one in firsts.items()}))
    return found


def _compared(metric: str, rows: Mapping[str, Protocol]) -> MetricProtocol:
    shared: dict[str, Value] = {}
    differing: dict[str, dict[str, Value]] = {}
    for field in sorted({field for one in rows.values() for field in one.fields}):
        values = {name: one.fields.get(field, NOT_STATED) for name, one in rows.items()}
        first = next(iter(values.values()))
        if all(value == first for value in values.values()):
            shared[field] = first
        else:
            differing[field] = values
    return MetricProtocol(metric, shared, differing, {name: one.fingerprint for name, one in rows.items()})
