"""A cascade: the first model draws small images, each further one upsamples those before it (Ho et al. 2021, arXiv 2106.15282).

The words of a command that hold for one stage of a cascade: stage.1.steps=25.

What stands behind stage.<number>. is a word as sample.py knows it, groups included: stage.0.sampler=ddim, stage.0.sampler.eta=1,
'stage.0.guidance=[clip,classifier]'. Words without it hold for all stages.

A cascade: the first model draws small images, each further one enlarges those before it (Ho et al. 2021, arXiv 2106.15282).

    sample.py 'stages=[BASE,UPSAMPLER]' stage.0.steps=250 stage.1.steps=25

Each stage is a set of images like any other, and the plan of the last one knows those before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from difflab.checkpoints.load import ModelSource
from difflab.conditioning import low_resolution_of
from difflab.config.keys import ConfigError, check_nothing_missing, compose_or_explain
from difflab.config.resolve import composing
from difflab.config.values import check_values
from difflab.config.words import quoted
from difflab.metrics import Protocol
from difflab.sampling.build import DrawingValues, plan_set, source_of
from difflab.sampling.conditions import images_of_stages
from difflab.sampling.job import SetPlan

OF_A_STAGE = (
    "batch_size",
    "ema",
    "eta",
    "flags",
    "guidance",
    "level",
    "precision",
    "quantization",
    "sampler",
    "scale",
    "steps",
    "track",
)
"""What may differ between stages."""

_STAGE = re.compile(r"stage\.(?P<rest>.+)", re.DOTALL)
_NUMBERED = re.compile(r"(?P<number>\d+)\.(?P<word>(?P<key>[^.=/@]+)[^=]*=.*)", re.DOTALL)


def gathered(words: Sequence[str]) -> list[str]:
    """A command's words with those of stages in one that Hydra can read: stage=["0.steps=250","1.steps=25"]."""
    found = [match["rest"] for word in words if (match := _STAGE.fullmatch(word))]
    if not found:
        return list(words)
    others = [word for word in words if not _STAGE.fullmatch(word)]
    return [*others, f"stage=[{','.join(map(quoted, found))}]"]


def of_first_stage(words: Sequence[str]) -> list[str]:
    """A command's words as they would be if its first stage were all."""
    found = []
    for word in words:
        match = _STAGE.fullmatch(word)
        if match is None and word.partition("=")[0] != "stages":
            found.append(word)
        elif match is not None and match["rest"].startswith("0."):
            found.append(match["rest"].removeprefix("0."))
    return found


def stage_words(given: Sequence[str], count: int) -> list[list[str]]:
    """The words of each of `count` stages. A ConfigError says what is wrong with one.

    given   without their beginning: 1.steps=25
    """
    found: list[list[str]] = [[] for _ in range(count)]
    for text in given:
        match = _NUMBERED.fullmatch(text)
        if match is None:
            raise ConfigError(f"stage.{text}: expected stage.<number>.<key>=<value>, as stage.1.steps=25")
        number, key = int(match["number"]), match["key"]
        if number >= count:
            there_are = (
                f"there are {count} stages, 0 to {count - 1}"
                if count
                else "there are no stages: give stages=[BASE,UPSAMPLER]"
            )
            raise ConfigError(f"stage.{text}: {there_are}")
        if key not in OF_A_STAGE:
            raise ConfigError(
                f"stage.{text}: a stage can have its own {', '.join(OF_A_STAGE)}. All else is of the whole: leave `stage.{number}.` out"
            )
        found[number].append(match["word"])
    return found


def is_cascade(config: DictConfig) -> bool:
    """Whether the command names stages. A ConfigError if it speaks of stages and names none."""
    if not config.stages:
        stage_words(_words(config), 0)
    return bool(config.stages)


def plan_cascade(config: DictConfig, command: str, out: Path | Callable[[Path, Protocol], Path]) -> SetPlan:
    """The plan of the last stage. Everything is checked for all stages before any work; a ConfigError names the stage.

    command   whose configuration it is: sample or evaluate
    out       where the last stage goes, the others below it; or from a model's file and what the images depend on to the place of a stage
    """
    names = [str(name) for name in OmegaConf.to_container(config.stages, resolve=True)]  # type: ignore[union-attr]
    requests = _requests(config, command, names)
    counts = images_of_stages(config.num_samples, [request.batch_size for request in requests])
    plan: SetPlan | None = None
    for i, (name, request, count) in enumerate(zip(names, requests, counts, strict=True)):
        last = i == len(names) - 1
        place = out if last or not isinstance(out, Path) else out / "stages" / str(i)
        try:
            source = source_of(request)
            if plan is not None:
                _check_fits(names[i - 1], plan, source)
            plan = plan_set(request, source, place, plan, count)
        except ValueError as error:
            raise ConfigError(f"stage {i} ({name}): {error}") from error
    assert plan is not None
    return plan


def _requests(config: DictConfig, command: str, names: list[str]) -> list[DictConfig]:
    """What the command says of each stage: the words of all stages, and its own."""
    if config.get("checkpoint") not in (None, *names):
        raise ConfigError(f"checkpoint={config.checkpoint} and stages=[{','.join(names)}]: leave checkpoint out")
    own = stage_words(_words(config), len(names))
    requests = []
    for i, (name, words) in enumerate(zip(names, own, strict=True)):
        request = _with_words(config, command, words, i) if words else config.copy()
        with open_dict(request):
            request.checkpoint = name
            if i:
                request.low_res = None
            if i < len(names) - 1:
                request.format = {}  # its shards are what the next stage reads
        try:
            check_nothing_missing(request)
            check_values(request, DrawingValues)
        except ConfigError as error:
            raise ConfigError(f"stage {i} ({name}): {error}") from error
        requests.append(request)
    return requests


def _words(config: DictConfig) -> list[str]:
    words: Any = OmegaConf.to_container(
        config.stage, resolve=False
    )  # what they refer to is in a stage's own configuration
    return words


def _with_words(config: DictConfig, command: str, words: list[str], stage: int) -> DictConfig:
    """The configuration in which what the stage's own words speak of is as they say. They are read after the words of all stages, as on a
    command line of their own."""
    given = list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []
    common = [word for word in given if word.lstrip("+~").partition("=")[0] not in ("stages", "stage")]
    try:
        with composing():
            composed = compose_or_explain(command, [*common, *words])
    except ConfigError as error:
        raise ConfigError(f"stage.{stage}: {error}") from error
    request = config.copy()
    with open_dict(request):
        for key in {word.partition("=")[0].lstrip("+~").replace("/", ".").split(".")[0] for word in words}:
            request[key] = composed._get_node(key)
    return request


def _check_fits(before_name: str, before: SetPlan, source: ModelSource) -> None:
    """A ConfigError if this model does not enlarge what the stage before draws."""
    drawn, classes = before.source.denoiser.image_shape, before.num_classes
    low_resolution = low_resolution_of(instantiate(source.config.get("conditioning") or {}, _convert_="all"))
    if low_resolution is None:
        raise ConfigError("this model draws from noise alone and enlarges nothing: only the first stage does that")
    enlarges = (low_resolution.image_channels, low_resolution.size, low_resolution.size)
    if drawn != enlarges:
        raise ConfigError(
            f"it enlarges images of {_size(enlarges)}, and the stage before, {before_name}, draws images of {_size(drawn)}"
        )
    if classes and source.num_classes not in (0, classes):
        raise ConfigError(f"it knows {source.num_classes} classes, and the stage before, {before_name}, {classes}")
    if not classes and source.num_classes and before.request.classes is None:
        raise ConfigError(
            f"it wants to be told a class, and the images of the stage before, {before_name}, have none: give classes=3, or labels.npy"
        )


def _size(shape: tuple[Any, ...]) -> str:
    return "x".join(map(str, shape))
