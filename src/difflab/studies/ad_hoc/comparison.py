"""Runs outside of a study, compared: what their configurations and their numbers differ in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from difflab.invocation import command
from difflab.metrics import Measurement, MetricInfo
from difflab.metrics.protocol import is_covered
from difflab.studies.ad_hoc.given_runs import GivenRun, Group, config_differences, grouped, read_runs
from difflab.studies.ad_hoc.metric_difference import MetricDifference, metric_difference
from difflab.studies.ad_hoc.numbers import Matched, Matches, matches
from difflab.studies.differences import Difference


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
