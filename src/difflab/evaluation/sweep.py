"""Many settings of sampling from one noise bank: a table, fronts, and the best one chosen without the winner's luck.

The best of many noisy numbers is better than it deserves: choosing and reporting on the same samples gives a number that other samples do
not repeat. So the choice is made on one half of the noise bank and the number comes from the other, which had no part in the choice.
"""

from __future__ import annotations

import copy
import itertools
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from difflab.checkpoints.load import LoadedModel
from difflab.config.groups import ConfigError, choices_of
from difflab.config.keys import composed
from difflab.config.near_keys import HYDRA_KEYS
from difflab.config.options import keys_of, read_options, with_values
from difflab.config.paths import is_group
from difflab.config.values import check_value
from difflab.distributed import Processes
from difflab.evaluation.bits_picture import pictures_of_bits
from difflab.evaluation.front import Point, choose, draw_front
from difflab.evaluation.options import EvaluationOptions
from difflab.evaluation.results import Measurement, Results, results_table
from difflab.evaluation.run import Measured, build_evaluator, measure
from difflab.evaluation.sources import GeneratedImages, folder_beside
from difflab.evaluation.wandb import mirror_sweep
from difflab.files import write_json
from difflab.metrics import Protocol
from difflab.runs.wandb.after_training import Table
from difflab.runtime.invocation import installation
from difflab.sampling import SamplingOptions
from difflab.sampling.build import model_of, plan_job
from difflab.suggest import near_name, suggestion

Value = str | int | float

Load = Callable[[SamplingOptions], LoadedModel]

KEYS = {name: key for name, key in keys_of(SamplingOptions).items() if key.of_model and key.staged}
"""What can be swept, besides what is inside these: all that says how a model draws, and may differ between two models."""


@dataclass(frozen=True)
class Setting:
    """One setting of what is swept.

    Attributes:
        values: Key -> value; all else is as the run has it.
    """

    values: Mapping[str, Value]

    @property
    def label(self) -> str:
        return ", ".join(_labelled(key, value) for key, value in self.values.items()) or "as trained"

    def without(self, key: str) -> Setting:
        """The same but for one of the keys."""
        return Setting({name: value for name, value in self.values.items() if name != key})


def _labelled(key: str, value: Value) -> str:
    """A value as tables and pictures call it: 25 steps, w = 1.5, s_churn = 40."""
    label = KEYS[key].label if key in KEYS else ""
    return (label or f"{key.rpartition('.')[2]} = {{}}").format(value)


def settings(axes: Mapping[str, Sequence[Value]]) -> list[Setting]:
    """All combinations, the last axis fastest; the keys of sampling come in their own order, and then what is inside of them.

    Args:
        axes: Key -> values: a key of sampling, as steps; what is inside of one, as sampler.grid.steps; or the last word of that alone, as
            s_churn. Axes without values are left out.

    Raises:
        ValueError: The values of an axis are no different values, or are none of its key.
    """
    for key, values in axes.items():
        if not isinstance(values, list | tuple) or len({str(value) for value in values}) != len(values):
            raise ValueError(f"sweep.{key}={values}: expected a list of different values, as [1,2]")
        if "." in key and key.partition(".")[0] not in KEYS:
            raise ValueError(f"sweep.{key}: {suggestion(key.partition('.')[0], KEYS)}")
        for value in values:
            if isinstance(value, bool | list | dict | None):
                raise ValueError(f"sweep.{key}: {value!r} is no number and no word")
    hints = typing.get_type_hints(SamplingOptions, include_extras=True)
    for key in axes:
        for value in axes[key] if key in KEYS and not is_group(key) else ():
            check_value(f"sweep.{key}", value, hints[key])
    given = sorted((key for key in axes if len(axes[key])), key=_place)
    return [
        Setting(dict(zip(given, chosen, strict=True))) for chosen in itertools.product(*(axes[key] for key in given))
    ]


def _place(key: str) -> tuple[int, int]:
    """Where a key comes among those of a setting: what is inside of a part after the part."""
    head = key.partition(".")[0]
    return [*KEYS].index(head) if head in KEYS else len(KEYS), key.count(".")


def with_setting(options: SamplingOptions, setting: Setting, load: Load) -> SamplingOptions:
    """The options of one setting.

    Args:
        options: Of all settings.
        setting: What of them is changed.
        load: Gives the model, whose parts are changed where the options name no others.

    Raises:
        ConfigError: There is no such key, or the value is none of it.
    """
    for key, value in setting.values.items():
        if key in KEYS and is_group(key):
            if value not in choices_of(key):
                raise ConfigError(f"sweep.{key}: no choice {value!r}; {suggestion(str(value), choices_of(key))}")
            chosen = read_options(SamplingOptions, composed("evaluate", [f"{key}={value}"]))
            options = with_values(options, {key: getattr(chosen, key)})
        elif key in KEYS:
            options = with_values(options, {key: value})
        else:
            options = _with_inner(options, key, value, load)
    if "sampler" in setting.values and "sampler.grid.steps" not in setting.values and options.steps is None:
        # another sampler takes as many steps as the run's, if both count them
        grids = [sampler.get("grid") or {} for sampler in (load(options).config["sampler"], options.sampler or {})]
        if all("steps" in grid for grid in grids):
            options = with_values(options, {"steps": grids[0]["steps"]})
    return options


def _with_inner(options: SamplingOptions, key: str, value: Value, load: Load) -> SamplingOptions:
    """The options with another value of a key that is inside of a part."""
    parts = {name: getattr(options, name) for name in KEYS}
    parts |= {name: load(options).config[name] for name in KEYS if KEYS[name].refers and parts[name] is None}
    known = {path: name for name, node in parts.items() if isinstance(node, Mapping) for path in _paths(node, name)}
    found = [path for path in known if path == key or ("." not in key and path.endswith(f".{key}"))]
    if len(found) > 1:
        raise ConfigError(f"sweep.{key}: say which one: {' or '.join(f'sweep.{path}' for path in found)}")
    if not found:
        near = near_name(key, [*KEYS, *(path.rpartition(".")[2] for path in known)])
        raise ConfigError(f"sweep.{key}: {f'did you mean {near!r}?' if near else suggestion(key, [*KEYS, *known])}")
    name, (path,) = known[found[0]], found
    *above, last = path.split(".")[1:]
    node = made = copy.deepcopy(dict(parts[name]))
    for part in above:
        node = node[part]
    node[last] = value
    if (inner := path.partition(".")[2]) in KEYS[name].inside:
        check_value(f"sweep.{key}", value, KEYS[name].inside[inner])
    return with_values(options, {name: made})


def _paths(node: Mapping[str, Any], path: str) -> Iterator[str]:
    """Dotted keys of the values inside of a part."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _paths(value, f"{path}.{key}")
        elif key not in HYDRA_KEYS:
            yield f"{path}.{key}"


def sweep(options: EvaluationOptions, stages: Sequence[SamplingOptions], processes: Processes) -> None:
    """Draws, measures and compares all settings. Every setting is checked before the first image is drawn.

    Args:
        options: Of the evaluation, with what is swept.
        stages: Of the sampling; a sweep has one.
        processes: That draw.
    """
    common, axes = stages[0], options.axes
    if options.samples is not None or common.stages or not isinstance(common.checkpoint, str):
        raise ConfigError("a sweep draws from one model: give checkpoint=RUN")
    if common.num_samples % 2:
        raise ConfigError(f"num_samples={common.num_samples}: a sweep chooses on one half, so it must be even")
    if find_spec("matplotlib") is None:
        raise ConfigError(f"a sweep draws its fronts with matplotlib: {installation('report')}")
    tried = settings(axes)
    models: dict[str, LoadedModel] = {}

    def load(options: SamplingOptions) -> LoadedModel:
        name = repr((options.track, options.ema))
        if name not in models:  # a model is read once for each of its weights
            models[name] = model_of(options)
        return models[name]

    images = []
    for setting in tried:
        own = with_setting(common, setting, load)
        images.append(GeneratedImages(plan_job(own, load(own), folder_beside)))
    evaluator = build_evaluator(options, images[0], halved=True)
    decisive = str(options.select or evaluator.extractor.identity.distance)
    decidable = [name for name, info in evaluator.info.items() if info.higher_is_better is not None]
    if decisive not in decidable:
        raise ConfigError(f"select={decisive}: the setting can be chosen by {', '.join(decidable) or 'no metric here'}")

    measured: list[Measured] = []
    halves: list[tuple[Measurement, Measurement]] = []
    for setting, one in zip(tried, images, strict=True):
        measured.append(measure(options, one, evaluator, processes))
        if processes.rank == 0:
            print(results_table(measured[-1].results, setting.label), flush=True)
            halves.append(_halves(measured[-1], common.first_seed, decisive))
    if processes.rank == 0:
        beside = images[0].folder.parent / f"sweep-{Protocol.of(axes).fingerprint}"
        _report(options, Path(str(options.out)) if options.out else beside, tried, measured, halves, decisive)


def _halves(measured: Measured, first_seed: int, decisive: str) -> tuple[Measurement, Measurement]:
    """The decisive metric of the first and of the second half of the samples."""
    features = measured.features
    assert features is not None, "a sweep has a decisive metric"
    middle, found = len(features) // 2, []
    for start in (0, middle):
        seeds = f"{first_seed + start} .. {first_seed + start + middle - 1}"
        rows = torch.arange(start, start + middle)
        numbers = measured.evaluator.measure(features.select(rows), {**measured.images.fields, "seeds": seeds})
        found.append(next(one for one in numbers if one.metric == decisive))
    return found[0], found[1]


def _report(
    options: EvaluationOptions,
    folder: Path,
    tried: Sequence[Setting],
    measured: Sequence[Measured],
    halves: Sequence[tuple[Measurement, Measurement]],
    decisive: str,
) -> None:
    choice = choose([first for first, _ in halves], [second for _, second in halves])
    pictures = []
    for x, y in measured[0].evaluator.fronts:
        points = [_point(setting, one.results, x, y) for setting, one in zip(tried, measured, strict=True)]
        path = folder / f"front-{x}-{y}.png"
        draw_front(points, path, f"{measured[0].images.name}: {len(tried)} settings from the same seeds")
        print(f"front    {path}")
        pictures.append(path)
    if options.bits_per_dim:
        for line in pictures_of_bits(measured, [setting.label for setting in tried], folder):
            print(line)
    content = {
        "settings": [
            {
                "setting": dict(setting.values),
                "results": str(one.images.file),
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
    table = _table(tried, measured, halves, choice.index)
    mirror_sweep(options.logger, measured, table, numbers, pictures, folder)


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
    """A setting in a picture: on the line of those that differ in their last number alone."""
    numbers = [key for key, value in setting.values.items() if not isinstance(value, str)]
    along = numbers[-1] if numbers else ""
    label = _labelled(along, setting.values[along]) if along else ""
    return Point(results[x], results[y], setting.without(along).label, label)
