"""Many settings of sampling from one noise bank: a table, fronts, and the best one chosen fairly.

The best of several settings, without the winner's luck.

The best of many noisy numbers is better than it deserves: choosing and reporting on the same samples gives a number that other samples do
not repeat. So the choice is made on one half of the noise bank and the number comes from the other, which had no part in the choice.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from difflab.checkpoints.load import LoadedModel
from difflab.config.keys import ConfigError, composed
from difflab.config.options import read_options, with_values
from difflab.distributed import Processes
from difflab.evaluation.build import evaluator_of
from difflab.evaluation.front import Point, draw_front
from difflab.evaluation.measuring import Measured, measure_subject
from difflab.evaluation.results import Measurement, Results, is_higher_better
from difflab.evaluation.sources import DrawnImages, folder_beside
from difflab.evaluation.tables import results_table
from difflab.evaluation.wandb import mirror_sweep
from difflab.files import write_json
from difflab.metrics import Protocol
from difflab.runs.wandb.content import Table
from difflab.runtime.invocation import installation
from difflab.sampling import SamplingOptions
from difflab.sampling.build import model_of, plan_job

Value = str | int | float

AXES = {
    "track": "track {}",
    "sampler": "{}",
    "steps": "{} steps",
    "eta": "eta = {:g}",
    "scale": "w = {:g}",
}
"""What can be swept, and how a value of it is called: EMA track, sampler, its number of steps, DDIM's eta, the scale of classifier-free
guidance."""


KINDS = {"track": (str,), "sampler": (str,), "steps": (int, str), "eta": (int, float), "scale": (int, float)}
"""Of which types the values of an axis are."""


@dataclass(frozen=True)
class Setting:
    """values   axis -> value, in the order of `AXES`; an axis that is absent is as the run has it"""

    values: Mapping[str, Value]

    @property
    def label(self) -> str:
        return ", ".join(AXES[axis].format(value) for axis, value in self.values.items()) or "as trained"

    def without(self, axis: str) -> Setting:
        return Setting({name: value for name, value in self.values.items() if name != axis})


def settings(axes: Mapping[str, Sequence[Value]]) -> list[Setting]:
    """All combinations, the last axis fastest. Axes without values are left out."""
    for axis, values in axes.items():
        if axis not in AXES:
            raise ValueError(f"sweep.{axis}: there are {', '.join(AXES)} to sweep over")
        if not isinstance(values, list | tuple) or len(set(values)) != len(values):
            raise ValueError(f"sweep.{axis}={values}: expected a list of different values, as [1,2]")
        for value in values:
            if isinstance(value, bool) or not isinstance(value, KINDS[axis]):
                words = " or ".join(kind.__name__ for kind in KINDS[axis])
                raise ValueError(f"sweep.{axis}: {value!r} is not of type {words}")
    given = [axis for axis in AXES if axes.get(axis)]
    return [
        Setting(dict(zip(given, chosen, strict=True))) for chosen in itertools.product(*(axes[axis] for axis in given))
    ]


@dataclass(frozen=True)
class Choice:
    """index     of the chosen candidate
    chosen_by    its measurement on the half on which it was the best
    reported     its measurement on the other half
    """

    index: int
    chosen_by: Measurement
    reported: Measurement


def choose(first: Sequence[Measurement], second: Sequence[Measurement]) -> Choice:
    """The best on the first half, among those that have a number there.

    first, second   one metric of each candidate on the two halves of the same noise bank
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"as many candidates on both halves, and at least one: got {len(first)} and {len(second)}")
    if len({m.metric for m in (*first, *second)}) != 1:
        raise ValueError(f"one metric decides, got {', '.join(sorted({m.metric for m in (*first, *second)}))}")
    sign = -1 if is_higher_better(first[0]) else 1
    usable = [i for i, one in enumerate(first) if math.isfinite(one.value)]
    if not usable:
        raise ValueError(f"{first[0].metric} of every candidate is no number: {first[0].why or first[0].value}")
    index = min(usable, key=lambda i: sign * first[i].value)
    return Choice(index, first[index], second[index])


FRONTS = (("fd", "is"), ("recall", "precision"))
"""Pairs of metrics that settings trade for each other (ADM, figures 4 and 5)."""


def sweep(config: DictConfig, axes: Mapping[str, Sequence[Any]], processes: Processes) -> None:
    """Draws, measures and compares all settings. Every setting is checked before the first image is drawn."""
    if config.samples is not None or config.checkpoint is None or not isinstance(config.checkpoint, str):
        raise ConfigError("a sweep draws from one model: give checkpoint=RUN")
    if config.num_samples % 2:
        raise ConfigError(f"num_samples={config.num_samples}: a sweep chooses on one half, so it must be even")
    if find_spec("matplotlib") is None:
        raise ConfigError(f"a sweep draws its fronts with matplotlib: {installation('report')}")
    tried = settings(axes)
    sources: dict[Any, LoadedModel] = {}  # a model is read once per track
    subjects = []
    for setting in tried:
        options = _with(read_options(SamplingOptions, config), setting)
        if options.track not in sources:
            sources[options.track] = model_of(options)
        if "sampler" in setting.values and options.steps is None:  # another sampler takes as many steps as the run's
            steps = sources[options.track].config["sampler"]["grid"]["steps"]
            options = with_values(options, {"steps": steps})
        subjects.append(DrawnImages(plan_job(options, sources[options.track], folder_beside)))
    evaluator = evaluator_of(config, subjects[0], halved=True)
    decisive = config.select or evaluator.extractor.identity.distance
    decidable = [name for name, info in evaluator.info.items() if info.higher_is_better is not None]
    if decisive not in decidable:
        raise ConfigError(f"select={decisive}: the setting can be chosen by {', '.join(decidable) or 'no metric here'}")

    measured: list[Measured] = []
    halves: list[tuple[Measurement, Measurement]] = []
    for setting, subject in zip(tried, subjects, strict=True):
        one = measure_subject(config, subject, evaluator, processes)
        measured.append(one)
        if processes.rank == 0:
            print(results_table(one.results, setting.label), flush=True)
            halves.append(_halves(one, decisive))
    if processes.rank == 0:
        folder = (
            Path(config.out) if config.out else subjects[0].folder.parent / f"sweep-{Protocol.of(axes).fingerprint}"
        )
        _report(config, folder, tried, measured, halves, decisive)


def _with(options: SamplingOptions, setting: Setting) -> SamplingOptions:
    """The options of one setting."""
    changed: dict[str, Any] = dict(setting.values)
    if "sampler" in changed:
        other = composed("evaluate", [f"sampler={changed['sampler']}"])
        changed["sampler"] = read_options(SamplingOptions, other).sampler
    return with_values(options, changed)


def _halves(measured: Measured, decisive: str) -> tuple[Measurement, Measurement]:
    """The decisive metric of the first and of the second half of the samples."""
    features, subject = measured.features, measured.subject
    assert features is not None, "a sweep has a decisive metric"
    middle, first_seed = len(features) // 2, subject.plan.options.first_seed if isinstance(subject, DrawnImages) else 0
    found = []
    for start in (0, middle):
        seeds = f"{first_seed + start} .. {first_seed + start + middle - 1}"
        rows = torch.arange(start, start + middle)
        fields = {**subject.fields, "seeds": seeds}
        numbers = measured.evaluator.measure(features.select(rows), fields)
        found.append(next(one for one in numbers if one.metric == decisive))
    return found[0], found[1]


def _report(
    config: DictConfig,
    folder: Path,
    tried: Sequence[Setting],
    measured: Sequence[Measured],
    halves: Sequence[tuple[Measurement, Measurement]],
    decisive: str,
) -> None:
    choice = choose([first for first, _ in halves], [second for _, second in halves])
    named = measured[0].evaluator.extractor.identity.named
    fronts = []
    for x, y in FRONTS:
        if {named(x), named(y)} <= set(measured[0].evaluator.info):
            path = folder / f"front-{named(x)}-{named(y)}.png"
            points = [
                _point(setting, one.results, named(x), named(y)) for setting, one in zip(tried, measured, strict=True)
            ]
            draw_front(points, path, f"{measured[0].subject.name}: {len(tried)} settings from the same seeds")
            print(f"front    {path}")
            fronts.append(path)
    content = {
        "settings": [
            {
                "setting": dict(setting.values),
                "results": str(one.subject.file),
                "first_half": a.value,
                "second_half": b.value,
            }
            for setting, one, (a, b) in zip(tried, measured, halves, strict=True)
        ],
        "decisive": decisive,
        "chosen": choice.index,
    }
    write_json(folder / "sweep.json", content)
    print(f"sweep    {folder / 'sweep.json'}")
    best, reported = tried[choice.index], choice.reported
    interval = reported.interval()
    reach = "" if interval is None else f", 95 % {interval[0]:.4g} .. {interval[1]:.4g}"
    print(
        f"best     {best.label}: chosen by {decisive} = {choice.chosen_by.value:.4g} on the first half; "
        f"on the other half it is {reported.value:.4g}{reach} ({reported.samples} samples)"
    )
    numbers = {"best": best.label, f"best/{decisive}@{reported.samples}": reported.value}
    mirror_sweep(config, measured, _table(tried, measured, halves, choice.index), numbers, fronts, folder)


def _table(
    tried: Sequence[Setting],
    measured: Sequence[Measured],
    halves: Sequence[tuple[Measurement, Measurement]],
    chosen: int,
) -> Table:
    """A row per setting: its values, its numbers, the halves of the decisive one."""
    axes, metrics = list(tried[0].values), [one.metric for one in measured[0].results.measurements]
    rows = [
        [
            *(str(setting.values[axis]) for axis in axes),
            *(one.results[metric].value for metric in metrics),
            *(first.value, second.value, index == chosen),
        ]
        for index, (setting, one, (first, second)) in enumerate(zip(tried, measured, halves, strict=True))
    ]
    return Table([*axes, *metrics, "first half", "second half", "chosen"], rows)


def _point(setting: Setting, results: Results, x: str, y: str) -> Point:
    line = setting.without("scale") if "scale" in setting.values else setting.without("steps")
    axis = "scale" if "scale" in setting.values else "steps"
    label = Setting({axis: setting.values[axis]}).label if axis in setting.values else ""
    return Point(results[x], results[y], line.label, label)
