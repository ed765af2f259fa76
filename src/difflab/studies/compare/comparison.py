"""Runs outside of a study, compared: what their configurations and their numbers differ in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from difflab.evaluation import Measurement
from difflab.evaluation.results import label
from difflab.formatting import NOTHING, probability, rounded
from difflab.metrics import MetricInfo
from difflab.metrics.protocol import is_covered
from difflab.runtime.invocation import command
from difflab.studies.compare.numbers import Matched, Matches, matches
from difflab.studies.compare.run_groups import GivenRun, Group, config_differences, grouped, read_runs
from difflab.studies.planning.confounds import ConfigDifference, in_brief
from difflab.studies.report.table import estimate
from difflab.studies.report.table_cells import Column, Content, Grid, difference_text, headed
from difflab.studies.report.table_text import lines
from difflab.studies.statistics.sentences import GroupDifference, group_difference


@dataclass(frozen=True)
class ComparedMetric:
    """A metric of all runs, and by how much their groups differ in it.

    Attributes:
        differences: Number of the group -> its difference to the first group; empty where there is one group only.
    """

    matched: Matched
    differences: Mapping[int, GroupDifference]


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        groups: Runs that differ in their seed alone are one.
        config: Number of the group -> what its configuration differs in from the first group's.
        metrics: That all runs have, measured alike.
        refused: Metric -> why its numbers are not compared.
        notes: What a reader has to know besides.
    """

    groups: list[Group]
    config: Mapping[int, list[ConfigDifference]]
    metrics: list[ComparedMetric]
    refused: Mapping[str, str]
    notes: list[str]

    @property
    def runs(self) -> list[GivenRun]:
        return [run for group in self.groups for run in group.runs.values()]


def compare(
    paths: Sequence[str | Path], waive: Collection[str] = (), stated: Mapping[str, MetricInfo] = MappingProxyType({})
) -> Comparison:
    """Compares runs.

    Runs whose numbers were measured differently keep their configurations and samples side by side; `refused` says of each metric why it
    is not compared. A StudyError if a path is no run, or if nobody says which way a metric is better.

    Args:
        paths: Of run directories.
        waive: Fields of the protocol that may differ.
        stated: Metric -> what kind of number it is, of those whose results do not say it.
    """
    groups = grouped(read_runs(paths))
    first, others = groups[0], groups[1:]
    runs = [run for group in groups for run in group.runs.values()]
    found = matches(runs, waive, stated)
    metrics = [
        ComparedMetric(
            one, {group.number: group_difference(_numbers(first, one), _numbers(group, one)) for group in others}
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


def as_text(comparison: Comparison) -> str:
    """What a person reads: the runs, what their configurations differ in, and their metrics."""
    found = [_table(("", "run", "seed", "step"), _runs(comparison))]
    for number, differing in comparison.config.items():
        rows = [[Content(one.key), Content(in_brief(one.before)), Content(in_brief(one.after))] for one in differing]
        found += [f"\nconfiguration: {number} against 1", _table(("key", "1", str(number)), rows)]
    if comparison.metrics:
        found += [
            "\nmetrics",
            _table(("metric", "", "value (95 %)", "difference (95 %)", "p", "of"), _metrics(comparison)),
        ]
    if comparison.refused:
        which = "Of these metrics the numbers are" if comparison.metrics else "The numbers are"
        found.append(f"\n{which} not compared: numbers that were measured differently are not one metric.")
    found += [f"not compared: {metric}: {reason}" for metric, reason in comparison.refused.items()]
    return "\n".join([*found, *comparison.notes])


def as_data(comparison: Comparison) -> dict[str, Any]:
    """What `--json` prints: plain containers, numbers in full."""
    return {
        "groups": [
            {
                "number": group.number,
                "runs": [
                    {"seed": seed, "path": str(run.path), "name": run.name, "step": run.step, "steps": run.steps}
                    for seed, run in group.runs.items()
                ],
            }
            for group in comparison.groups
        ],
        "config": {
            str(number): [
                {"key": one.key, "first": in_brief(one.before), "second": in_brief(one.after)} for one in found
            ]
            for number, found in comparison.config.items()
        },
        "metrics": [_metric_data(one) for one in comparison.metrics],
        "refused": dict(comparison.refused),
        "notes": comparison.notes,
    }


def _metric_data(one: ComparedMetric) -> dict[str, Any]:
    return {
        "metric": one.matched.metric,
        "info": None if (info := _measured(one).info) is None else info.to_json(),
        "numbers": {
            name: {
                "value": number.measurement.value,
                "std_error": number.measurement.std_error,
                "samples": number.measurement.samples,
                "fingerprint": number.measurement.protocol.fingerprint,
                "origin": number.origin,
            }
            for name, number in one.matched.numbers.items()
        },
        "differences": {
            str(number): {
                "value": found.value,
                "low": None if found.limits is None else found.limits[0],
                "high": None if found.limits is None else found.limits[1],
                "p": found.p,
                "basis": found.basis,
                "unit": found.scale.unit,
            }
            for number, found in one.differences.items()
        },
    }


def _runs(comparison: Comparison) -> list[list[Content]]:
    return [
        [Content(str(group.number)), Content(run.name), Content(str(seed)), Content(f"{run.step} of {run.steps}")]
        for group in comparison.groups
        for seed, run in group.runs.items()
    ]


def _metrics(comparison: Comparison) -> list[list[Content]]:
    rows = []
    for one in comparison.metrics:
        measured = _measured(one)
        for group in comparison.groups:
            found, origin = one.differences.get(group.number), _origin(one, group)
            row = [Content("" if found else headed(label(measured), measured.info)), Content(str(group.number))]
            row += [_value(one, group), *(_difference(found) if found else (Content(""), Content("")))]
            rows.append([*row, Content(f"{found.basis}; {origin}" if found else origin)])
    return rows


def _difference(found: GroupDifference) -> tuple[Content, Content]:
    text, spread = difference_text(found)
    p = Content("") if found.p is None else Content(probability(found.p), found.p)
    return Content(text, found.value, spread), p


def _value(one: ComparedMetric, group: Group) -> Content:
    """Of several runs the mean with Student's interval, of a single one its value with that of sampling."""
    found = [one.matched.numbers[run.name].measurement for run in group.runs.values()]
    known = estimate(found, 0.05)
    if known is None:
        return Content(NOTHING)
    text, spread = rounded(known.value, known.half_width)
    seeds = f" ({known.seeds} seeds)" if known.seeds > 1 else ""
    return Content(f"{text}{seeds}" if spread is None else text, known.value, spread and f"{spread}{seeds}")


def _measured(one: ComparedMetric) -> Measurement:
    """Of any run: in what is asked of it all are alike."""
    return next(iter(one.matched.numbers.values())).measurement


def _origin(one: ComparedMetric, group: Group) -> str:
    return ", ".join(dict.fromkeys(one.matched.numbers[run.name].origin for run in group.runs.values()))


def _table(heads: Sequence[str], cells: Sequence[list[Content]]) -> str:
    return lines(Grid([Column(head, "") for head in heads], [], list(cells), [], []))
