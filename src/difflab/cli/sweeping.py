"""Many settings of sampling from one noise bank: a table, fronts, and the best one chosen fairly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, open_dict

from difflab.cli.check import ConfigError, composed
from difflab.cli.drawing import plan_set, source_of
from difflab.cli.judge import judge_of, numbered
from difflab.cli.measuring import Measured, measure_subject
from difflab.cli.mirrored_results import mirror_sweep
from difflab.cli.model_source import ModelSource
from difflab.cli.subjects import DrawnImages, folder_beside
from difflab.cli.tables import results_table
from difflab.files import write_json
from difflab.invocation import installation
from difflab.launch import Processes
from difflab.metrics import Measurement, Protocol, Results
from difflab.runs.wandb_content import Table
from difflab.studies import Point, Setting, choose, draw_front, settings

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
    sources: dict[str | None, ModelSource] = {}  # a model is read once per track
    subjects = []
    for setting in tried:
        request = _with(config, setting)
        if request.track not in sources:
            sources[request.track] = source_of(request)
        if "sampler" in setting.values and request.steps is None:  # another sampler takes as many steps as the run's
            request.steps = sources[request.track].config.sampler.grid.steps
        subjects.append(DrawnImages(plan_set(request, sources[request.track], folder_beside)))
    judge = judge_of(config, subjects[0], halved=True)
    decisive = config.select or judge.extractor.identity.distance
    decidable = [name for name, info in judge.info.items() if info.higher_is_better is not None]
    if decisive not in decidable:
        raise ConfigError(f"select={decisive}: the setting can be chosen by {', '.join(decidable) or 'no metric here'}")

    measured: list[Measured] = []
    halves: list[tuple[Measurement, Measurement]] = []
    for setting, subject in zip(tried, subjects, strict=True):
        one = measure_subject(config, subject, judge, processes)
        measured.append(one)
        if processes.rank == 0:
            print(results_table(one.results, setting.label), flush=True)
            halves.append(_halves(one, decisive))
    if processes.rank == 0:
        folder = (
            Path(config.out) if config.out else subjects[0].folder.parent / f"sweep-{Protocol.of(axes).fingerprint}"
        )
        _report(config, folder, tried, measured, halves, decisive)


def _with(config: DictConfig, setting: Setting) -> DictConfig:
    """The configuration of one setting."""
    changed = config.copy()
    for axis, value in setting.values.items():
        if axis == "sampler":
            with open_dict(changed):
                changed.sampler = composed("evaluate", [f"sampler={value}"]).sampler
        else:
            changed[axis] = value
    return changed


def _halves(measured: Measured, decisive: str) -> tuple[Measurement, Measurement]:
    """The decisive metric of the first and of the second half of the samples."""
    features, subject = measured.features, measured.subject
    assert features is not None, "a sweep has a decisive metric"
    middle, first_seed = len(features) // 2, subject.plan.request.first_seed if isinstance(subject, DrawnImages) else 0
    found = []
    for start in (0, middle):
        seeds = f"{first_seed + start} .. {first_seed + start + middle - 1}"
        rows = torch.arange(start, start + middle)
        fields = {**subject.fields, "seeds": seeds}
        found.append(numbered(measured.judge.measure(features.select(rows), fields))[decisive])
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
    named = measured[0].judge.extractor.identity.named
    fronts = []
    for x, y in FRONTS:
        if {named(x), named(y)} <= set(measured[0].judge.info):
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
