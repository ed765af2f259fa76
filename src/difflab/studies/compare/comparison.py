"""Runs outside of a study, compared: what their configurations and their numbers differ in.

By how much two groups of runs differ in a metric, with the best interval that there are numbers for.

seeds in common >= 2     paired: Student's t of the differences at each seed, which speaks of a typical seed
else, two runs each      Welch's t of two independent means
else                     sqrt(e1^2 + e2^2) of the two standard errors of sampling: another training seed could give another answer

A metric that is declared to be a ratio is compared on logarithms, as in a study, and its difference is told in per cent.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from scipy.stats import norm, ttest_ind

from difflab.evaluation import Measurement
from difflab.metrics import MetricInfo
from difflab.metrics.protocol import is_covered
from difflab.runtime.invocation import command
from difflab.studies.compare.numbers import Matched, Matches, matches
from difflab.studies.compare.run_groups import GivenRun, Group, config_differences, grouped, read_runs
from difflab.studies.planning.confounds import Difference
from difflab.studies.scale import RATIO, Scale, bounds_of, scale_of
from difflab.studies.statistics import paired_difference


@dataclass(frozen=True)
class MetricDifference:
    """By how much two groups differ.

    Attributes:
        value: Second - first, in the metric's unit or in per cent.
        low: Of the interval; None where nothing is known of it.
        high: Likewise.
        p: Of no difference, two-sided; None likewise.
        basis: What the interval is of, in words.
        unit: " %", or nothing for the metric's own.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None
    basis: str
    unit: str = ""


def metric_difference(
    first: Mapping[int, Measurement], second: Mapping[int, Measurement], alpha: float = 0.05
) -> MetricDifference:
    """Compares two groups of runs.

    Args:
        first: Training seed -> number.
        second: Training seed -> number.
        alpha: 1 - level of the interval.
    """
    measured = [*first.values(), *second.values()]
    scale = scale_of(measured[0].info)
    off = sorted({one.value for one in measured if not (math.isfinite(one.value) and scale.has(one.value))})
    if off:
        what = "no number above 0, as a ratio needs it" if scale is RATIO else "no number"
        return MetricDifference(
            math.nan, None, None, None, f"{', '.join(f'{value:g}' for value in off)} is {what}", scale.unit
        )
    shared = [seed for seed in first if seed in second]
    if len(shared) >= 2:
        return _paired(first, second, shared, scale, alpha)
    if len(first) >= 2 and len(second) >= 2:
        return _independent(first, second, scale, alpha)
    seeds = (shared[0], shared[0]) if shared else (next(iter(first)), next(iter(second)))
    return _of_sampling(first[seeds[0]], second[seeds[1]], seeds, scale, alpha)


def _paired(
    first: Mapping[int, Measurement], second: Mapping[int, Measurement], shared: list[int], scale: Scale, alpha: float
) -> MetricDifference:
    ours, theirs = ({seed: side[seed].value for seed in shared} for side in (second, first))
    found = paired_difference(ours, theirs, alpha, scale, bounds_of(next(iter(first.values())).info, scale))
    low, high = found.limits or (None, None)
    basis = f"a typical seed, paired over seeds {', '.join(map(str, shared))}"
    return MetricDifference(found.value, low, high, found.p, basis, scale.unit)


def _independent(
    first: Mapping[int, Measurement], second: Mapping[int, Measurement], scale: Scale, alpha: float
) -> MetricDifference:
    a, b = ([scale.inner(m.value) for m in side.values()] for side in (first, second))
    value = scale.told(float(np.mean(b) - np.mean(a)))
    basis = f"{len(a)} and {len(b)} seeds, none or one in common: independent means"
    if np.ptp(a) + np.ptp(b) == 0:
        return MetricDifference(value, None, None, None, f"{basis}, without scatter", scale.unit)
    test = ttest_ind(b, a, equal_var=False)
    interval = test.confidence_interval(1 - alpha)  # type: ignore[attr-defined]
    low, high = scale.told(float(interval.low)), scale.told(float(interval.high))
    return MetricDifference(value, low, high, float(test.pvalue), basis, scale.unit)  # type: ignore[attr-defined]


def _of_sampling(
    first: Measurement, second: Measurement, seeds: tuple[int, int], scale: Scale, alpha: float
) -> MetricDifference:
    difference = scale.inner(second.value) - scale.inner(first.value)
    value = scale.told(difference)
    runs = f"one run each (seed {seeds[0]})" if seeds[0] == seeds[1] else f"one run each (seeds {seeds[0]}, {seeds[1]})"
    if first.std_error is None or second.std_error is None:
        return MetricDifference(value, None, None, None, f"{runs}, no standard error known", scale.unit)
    error = math.hypot(*(scale.error(one.std_error, one.value) for one in (first, second) if one.std_error is not None))
    reach = float(norm.ppf(1 - alpha / 2)) * error
    p = float(2 * norm.sf(abs(difference) / error)) if error else None
    basis = f"{runs}: sampling errors alone, another training seed is not in it"
    low, high = scale.told(difference - reach), scale.told(difference + reach)
    return MetricDifference(value, low, high, p, basis, scale.unit)


@dataclass(frozen=True)
class ComparedMetric:
    """differences   number of the group -> its difference to the first group; empty where there is one group only"""

    matched: Matched
    differences: Mapping[int, MetricDifference]


@dataclass(frozen=True)
class Comparison:
    """groups     runs that differ in their seed alone are one
    config     number of the group -> what its configuration differs in from the first group's
    metrics    that all runs have, measured alike
    refused    metric -> why its numbers are not compared
    notes      what a reader has to know besides
    """

    groups: list[Group]
    config: Mapping[int, list[Difference]]
    metrics: list[ComparedMetric]
    refused: Mapping[str, str]
    notes: list[str]

    @property
    def runs(self) -> list[GivenRun]:
        return [run for group in self.groups for run in group.runs.values()]


def compare(
    paths: Sequence[str | Path], waive: Collection[str] = (), stated: Mapping[str, MetricInfo] = MappingProxyType({})
) -> Comparison:
    """paths   of run directories
    waive   fields of the protocol that may differ
    stated  metric -> what kind of number it is, of those whose results do not say it

    Runs whose numbers were measured differently keep their configurations and samples side by side; `refused` says of each metric why it
    is not compared. A StudyError if a path is no run, or if nobody says which way a metric is better.
    """
    groups = grouped(read_runs(paths))
    first, others = groups[0], groups[1:]
    runs = [run for group in groups for run in group.runs.values()]
    found = matches(runs, waive, stated)
    metrics = [
        ComparedMetric(
            one, {group.number: metric_difference(_numbers(first, one), _numbers(group, one)) for group in others}
        )
        for one in found.found
    ]
    return Comparison(
        groups=groups,
        config={group.number: config_differences(first.first, group.first) for group in others},
        metrics=metrics,
        refused=found.refused,
        notes=[*_notes(groups, runs, found, waive), *_many(metrics)],
    )


def _many(metrics: Sequence[ComparedMetric]) -> list[str]:
    """What it means that several differences are tested at once, and none was chosen beforehand."""
    tests = sum(difference.p is not None for one in metrics for difference in one.differences.values())
    if tests < 2:
        return []
    return [
        f"each p is of one difference by itself: of {tests} without any effect, if independent, one is below 0.05 in "
        f"{100 * (1 - 0.95**tests):.0f} % of comparisons; a study fixes beforehand which one decides"
    ]


def _numbers(group: Group, matched: Matched) -> dict[int, Measurement]:
    return {seed: matched.numbers[run.name].measurement for seed, run in group.runs.items()}


def _notes(groups: Sequence[Group], runs: Sequence[GivenRun], found: Matches, waive: Collection[str]) -> list[str]:
    notes = ["the runs differ in their seed alone: they are replicates of one another"] if len(groups) == 1 else []
    notes += [f"{run.name} is at step {run.step} of {run.steps}" for run in runs if run.step < run.steps]
    notes += [
        f"{one.metric} of {name} is no number: {number.measurement.why}"
        for one in found.found
        for name, number in one.numbers.items()
        if number.measurement.why
    ]
    if found.partial:
        notes.append(f"not measured in all runs: {', '.join(found.partial)}")
    if not found.found and not found.refused:
        notes.append(f"no metric was measured in all runs: {command('evaluate checkpoint=RUN')}")
    waived = dict.fromkeys(difference for one in found.found for difference in one.waived)
    notes += [f"waived: {difference}" for difference in waived]
    idle = [name for name in waive if not any(is_covered(difference.field, [name]) for difference in waived)]
    return notes + [f"waive={name} has no effect: nothing differs in it" for name in idle]
