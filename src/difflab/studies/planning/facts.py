"""Resolved rows -> what they cost, and the width or depth at which a row has the baseline's parameters, or computes as much."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from difflab.checkpoints.load import LoadedModel, names_told
from difflab.conditioning import ConditionDropout
from difflab.config.build import build
from difflab.config.keys import ConfigError
from difflab.config.options import of_first_stage
from difflab.config.resolve import resolve_options, resolve_row
from difflab.config.resolved import ResolvedConfig, dotted, leaves
from difflab.networks import Network
from difflab.noisy_model import DenoisingModel
from difflab.sampling import SamplingOptions
from difflab.sampling.build import plan_job
from difflab.studies.planning.counting import NetworkCount, count_calls, count_network, half_life_images
from difflab.studies.planning.plan import Facts
from difflab.studies.spec import StudyError


class RowFacts:
    """What resolved rows cost. Rows that have a network, or a way of drawing, in common are counted together."""

    def __init__(self):
        self._networks: dict[str, Network] = {}
        self._counts: dict[str, NetworkCount] = {}
        self._calls: dict[str, int] = {}

    def __call__(self, row: ResolvedConfig, drawing: Sequence[str] = ()) -> Facts:
        """The facts of a row.

        Args:
            row: The row.
            drawing: Overrides of evaluate.py.

        Raises:
            ConfigError: The row cannot be built, or its images cannot be drawn as asked for.
        """
        config = row.config
        with _explained():
            count, calls = self._count(config), self._sampling_calls(config, drawing)
        batch, steps = config["data"]["batch_size"], config["trainer"]["max_steps"]
        return Facts(
            parameters=self.parameters(row),
            training_flops=count.training_flops,
            forward_flops=count.forward_flops,
            sampling_calls=calls,
            batch=batch,
            steps=steps,
            ema_half_life_images={
                name: half_life_images(averaging, steps, batch) for name, averaging in build(config["ema"]).items()
            },
        )

    def network(self, row: ResolvedConfig) -> Network:
        """A row's network, without values."""
        return self._network(row.config)

    def parameters(self, row: ResolvedConfig) -> int:
        """How many are trained, of what images are not drawn with as well (a discriminator); without counting FLOPs, hence soon."""
        return sum(p.numel() for p in self._model(row.config).parameters() if p.requires_grad)

    def total_flops(self, row: ResolvedConfig) -> float:
        """FLOPs of the training."""
        with _explained():
            flops = self._count(row.config).training_flops
        return row.config["data"]["batch_size"] * row.config["trainer"]["max_steps"] * flops

    def _network(self, config: Mapping[str, Any]) -> Network:
        key = json.dumps(config["network"], sort_keys=True)
        if key not in self._networks:
            with torch.device("meta"):
                self._networks[key] = build(config["network"])
        return self._networks[key]

    def _model(self, config: Mapping[str, Any]) -> DenoisingModel:
        """What a row trains; its network has no values."""
        return build({**config["module"]["denoiser"], "network": self._network(config)})

    def _count(self, config: Mapping[str, Any]) -> NetworkCount:
        classes = config["data"]["num_classes"]
        key = json.dumps([config["network"], classes], sort_keys=True)
        if key not in self._counts:
            self._counts[key] = count_network(self._network(config), classes)
        return self._counts[key]

    def _sampling_calls(self, config: Mapping[str, Any], drawing: Sequence[str]) -> int:
        """Calls of the network for an image, by walking once through each way of drawing."""
        options = _options(tuple(drawing))
        denoiser = self._model(config)
        own = dict(config["guidance"] or {})
        model = LoadedModel(
            denoiser,
            {**config, "guidance": _without_networks(own)},
            config["data"]["num_classes"],
            names_told(config["data"]["num_classes"], denoiser),
            ConditionDropout(config["condition_dropout"]),
            "",
            Path(),
            None,
        )
        asked = {} if options.guidance is None else options.guidance
        if any(map(_brings_network, (*own.values(), *asked.values()))):  # the scale is theirs
            guidance = None if options.guidance is None else _without_networks(asked)
            options = replace(options, guidance=guidance, scale=None)
        job = plan_job(options, model, Path())
        key = json.dumps([job.config.get(part) for part in ("schedule", "sampler", "guidance")], sort_keys=True)
        if key not in self._calls:
            self._calls[key] = count_calls(job.sampler, denoiser.schedule, list(job.guidance.guidances.values()))
        return self._calls[key]


def _without_networks(guidance: Mapping[str, Any]) -> dict[str, Any]:
    """The guidances that bring no network along: the others ask the model as often as without it, and it need not be here yet."""
    return {name: part for name, part in guidance.items() if not _brings_network(part)}


def _brings_network(part: Mapping[str, Any]) -> bool:
    """Whether a guidance is given another model, which is read from a `checkpoint`."""
    return any(isinstance(value, Mapping) and "checkpoint" in value for value in part.values())


@contextmanager
def _explained() -> Iterator[None]:
    """Within the context what cannot be built, counted or drawn is a ConfigError of one line."""
    try:
        yield
    except ValueError as error:
        raise ConfigError(" ".join(str(error).split())) from error


@cache
def _options(drawing: tuple[str, ...]) -> SamplingOptions:
    """What evaluate.py is asked for, of a cascade by its first stage, which is the row's model; nothing is looked up in a folder."""
    words = [*of_first_stage(drawing), "overwrite=true", "checkpoint=RUN"]
    (options,) = resolve_options("evaluate", words, SamplingOptions)
    return options


MEASURES = {"params": RowFacts.parameters, "flops": RowFacts.total_flops}
"""What rows can be matched by: trained parameters, or all FLOPs of the training."""


def match_row(facts: RowFacts, by: str, key: str, overrides: Sequence[str], baseline: ResolvedConfig) -> Match:
    """At which width or depth of its network a row is as large as the baseline.

    Args:
        facts: Count the rows.
        by: One of `MEASURES`.
        key: What is solved for, as network.width.
        overrides: Of train.py, the row's.
        baseline: The row that is matched.

    Raises:
        ValueError: The row has no such key, or at none of its values this size.
    """
    if by not in MEASURES:
        raise ConfigError(f"match={by}: rows can be matched by {' or '.join(MEASURES)}")
    measure, row = MEASURES[by], resolve_row(overrides)
    before = {dotted(path): value for path, value in leaves(row.config).items()}.get(key)
    if not isinstance(before, int) or isinstance(before, bool):
        raise ConfigError(f"match: {key} is no whole number in this row, so nothing can be solved for it")
    sizes = {f"network.{name}": units for name, units in facts.network(row).sizes.items()}
    if key not in sizes:
        raise ConfigError(f"{key} cannot be solved for: match by {' or '.join(sizes)}")
    return match(
        key,
        before,
        lambda value: measure(facts, resolve_row([*overrides, f"{key}={value}"])),
        measure(facts, baseline),
        sizes[key],
    )


Count = Callable[[int], float]
"""A setting -> what it costs; a ValueError where no network has it, as of 4 heads that do not divide the channels."""


@dataclass(frozen=True)
class Match:
    """At which value a row has the wanted size.

    Attributes:
        key: What was solved for.
        value: What was found.
        before: What the row has of itself.
        difference: That remains: the row's cost over the wanted one, minus 1.
    """

    key: str
    value: int
    before: int
    difference: float

    @property
    def overrides(self) -> tuple[str, ...]:
        """Of train.py; none where the row was the nearest already."""
        return () if self.value == self.before else (f"{self.key}={self.value}",)

    def __str__(self) -> str:
        return f"{self.key}={self.value} ({100 * self.difference:+.2f} %)"


def match(key: str, before: int, count: Count, wanted: float, units: Sequence[int], tolerance: float = 0.05) -> Match:
    """The multiple of a unit whose cost is nearest to the wanted one.

    The unit is the smallest of 8, 16, ... whose odd multiples can be built, then 4 and 2 if its steps are too coarse. The cost must
    rise with the setting.

    Args:
        key: What is solved for.
        before: What the row has.
        count: Cost of the row with another value.
        wanted: The baseline's cost.
        units: Multiples of these are tried, as `Network.sizes` says.
        tolerance: The largest relative difference that may remain.

    Raises:
        StudyError: None is so near, or can be built.
    """
    counted = cache(count)

    def off(value: int) -> float:
        return counted(value) / wanted - 1

    coarsest, neighbours, reason = 0, [], ""
    for unit in units:
        if coarsest and unit > coarsest:
            continue  # a multiple of what was too coarse
        try:
            counted(_odd_multiple(unit, before))
            neighbours = _neighbours(counted, unit, before, wanted)
        except ValueError as error:
            reason = reason or str(error)
            continue
        coarsest = coarsest or unit
        best = min([*_buildable(counted, before), *neighbours], key=lambda value: abs(off(value)))
        if abs(off(best)) <= tolerance:
            return Match(key, best, before, off(best))
    if not neighbours:
        raise StudyError(f"{key}={before}: no multiple of {', '.join(map(str, units))} near it can be built: {reason}")
    shown = " and ".join(f"{key}={value} ({100 * off(value):+.1f} %)" for value in neighbours)
    raise StudyError(
        f"nothing comes within {100 * tolerance:g} % of the wanted {wanted:.4g}: the nearest are {shown}. Solve for another key, or give "
        "the value by hand and declare it in `change`"
    )


def _odd_multiple(unit: int, near: int) -> int:
    """If it can be built, so can all multiples: an even one would speak of twice the unit."""
    times = near // unit
    return unit * (times + 1 - times % 2)


def _buildable(count: Count, value: int) -> list[int]:
    try:
        count(value)
    except ValueError:
        return []
    return [value]


def _neighbours(count: Count, unit: int, start: int, wanted: float) -> list[int]:
    """The multiples of the unit on both sides of the wanted cost; the upper one alone if there is no smaller one."""
    guess = max(1, start // unit)
    for _ in range(2):  # the cost grows about as the square of the width
        guess = max(1, round(guess * math.sqrt(wanted / count(guess * unit))))
    below, above, stride = guess, guess, 1
    while below and count(below * unit) > wanted:
        below, above, stride = max(0, below - stride), below, 2 * stride
    stride = 1
    while count(above * unit) <= wanted:
        below, above, stride = above, above + stride, 2 * stride
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if count(middle * unit) <= wanted else (below, middle)
    return [times * unit for times in (below, above) if times]
