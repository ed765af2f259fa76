"""Resolved rows -> what they cost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from difflab.checkpoints.frozen import frozen_classifier, frozen_denoiser
from difflab.checkpoints.load import LoadedModel
from difflab.config import derived as resolvers
from difflab.config.build import cause
from difflab.config.keys import ConfigError, compose_or_explain
from difflab.config.options import read_options
from difflab.config.resolve import composing, resolve_row
from difflab.config.resolved import ResolvedConfig
from difflab.config.stages import of_first_stage
from difflab.denoiser import Denoiser
from difflab.networks import Network
from difflab.sampling import SamplingOptions
from difflab.sampling.build import plan_job
from difflab.studies.planning.counting import NetworkCount, count_calls, count_network, half_life_images
from difflab.studies.planning.matching import Match, match
from difflab.studies.planning.plan import Facts

DENOISER = ("schedule", "parameterization", "variance")
DRAWN_BY = ("network", *DENOISER, "sampler", "guidance", "condition_dropout")
"""Nodes on which it depends how an image is drawn."""

LOADERS = tuple(f"difflab.checkpoints.{loader.__name__}" for loader in (frozen_classifier, frozen_denoiser))
"""Of networks that guide."""


class RowFacts:
    """resolved -> Facts. Rows that have a network, or a way of drawing, in common are counted together."""

    def __init__(self):
        self._networks: dict[str, Network] = {}
        self._counts: dict[str, NetworkCount] = {}
        self._calls: dict[str, int] = {}

    def __call__(self, row: ResolvedConfig, drawing: Sequence[str] = ()) -> Facts:
        """A ConfigError if the row cannot be built, or its images cannot be drawn as asked for.

        drawing   overrides of evaluate.py
        """
        config = row.config
        with _explained():
            count = self._count(config)
            calls = self._sampling_calls(config, drawing)
            tracks = instantiate(config["ema"], _convert_="all")
        batch, steps = config["data"]["batch_size"], config["trainer"]["max_steps"]
        return Facts(
            parameters=count.parameters,
            training_flops=count.training_flops,
            forward_flops=count.forward_flops,
            sampling_calls=calls,
            batch=batch,
            steps=steps,
            ema_half_life_images={
                name: half_life_images(averaging, steps, batch) for name, averaging in tracks.items()
            },
        )

    def parameters(self, row: ResolvedConfig) -> int:
        """Trained; without counting FLOPs, hence soon."""
        with _explained():
            return sum(p.numel() for p in self._network(row.config).parameters() if p.requires_grad)

    def total_flops(self, row: ResolvedConfig) -> float:
        """Of the training."""
        with _explained():
            flops = self._count(row.config).training_flops
        return row.config["data"]["batch_size"] * row.config["trainer"]["max_steps"] * flops

    def _network(self, config: Mapping[str, Any]) -> Network:
        key = json.dumps(config["network"], sort_keys=True)
        if key not in self._networks:
            with torch.device("meta"):
                self._networks[key] = instantiate(config["network"], _convert_="all")
        return self._networks[key]

    def _count(self, config: Mapping[str, Any]) -> NetworkCount:
        classes = config["data"]["num_classes"]
        key = json.dumps([config["network"], classes], sort_keys=True)
        if key not in self._counts:
            self._counts[key] = count_network(self._network(config), classes)
        return self._counts[key]

    def _sampling_calls(self, config: Mapping[str, Any], drawing: Sequence[str]) -> int:
        key = json.dumps([{name: config[name] for name in DRAWN_BY}, list(drawing)], sort_keys=True)
        if key not in self._calls:
            denoiser = Denoiser(
                self._network(config), *(instantiate(config[part], _convert_="all") for part in DENOISER)
            )
            options = _options(tuple(drawing))
            model = LoadedModel(
                denoiser,
                dict(config) | {"guidance": _without_networks(config.get("guidance") or {})},
                config["data"]["num_classes"],
                config["condition_dropout"],
                "",
                Path(),
                None,
            )
            if options.guidance is not None:
                kept = _without_networks(options.guidance)
                scale = options.scale if len(kept) == len(options.guidance) else None  # it is theirs
                options = replace(options, guidance=kept, scale=scale)
            if len(model.config["guidance"]) < len(config.get("guidance") or {}):
                options = replace(options, scale=None)
            plan = plan_job(options, model, Path())
            self._calls[key] = count_calls(plan.sampler, denoiser.schedule, list(plan.guidance.guidances.values()))
        return self._calls[key]


MEASURES = {"params": RowFacts.parameters, "flops": RowFacts.total_flops}
"""What rows can be matched by: trained parameters, or all FLOPs of the training."""


def match_row(facts: RowFacts, by: str, key: str, overrides: Sequence[str], baseline: ResolvedConfig) -> Match:
    """The network.width or network.depth at which a row is as large as the baseline.

    by          one of `MEASURES`
    overrides   of train.py, the row's
    """
    if by not in MEASURES:
        raise ConfigError(f"match={by}: rows can be matched by {' or '.join(MEASURES)}")
    measure = MEASURES[by]
    *above, name = key.split(".")
    node: Any = resolve_row(overrides).config
    for part in above:
        node = node.get(part, {})
    if not isinstance(node.get(name), int):
        raise ConfigError(f"match: {key} is no whole number in this row, so nothing can be solved for it")
    return match(
        key,
        node[name],
        lambda value: measure(facts, resolve_row([*overrides, f"{key}={value}"])),
        measure(facts, baseline),
    )


def _without_networks(guidance: Mapping[str, Any]) -> dict[str, Any]:
    """The guidances that bring no network along: the others ask the model as often as without it, and it need not be here yet."""
    return {name: part for name, part in guidance.items() if not any(map(_is_loaded, part.values()))}


def _is_loaded(value: Any) -> bool:
    return isinstance(value, dict) and str(value.get("_target_")) in LOADERS


@contextmanager
def _explained() -> Iterator[None]:
    """Within the context what cannot be built is a ConfigError."""
    try:
        yield
    except InstantiationException as error:
        raise ConfigError(cause(error)) from error
    except ValueError as error:
        raise ConfigError(" ".join(str(error).split())) from error


@cache
def _options(drawing: tuple[str, ...]) -> SamplingOptions:
    """What evaluate.py is asked for, of a cascade by its first stage, which is the row's model; nothing is looked up in a folder."""
    resolvers.add_resolvers()
    with composing():
        return read_options(
            SamplingOptions, compose_or_explain("evaluate", [*of_first_stage(drawing), "overwrite=true"])
        )
