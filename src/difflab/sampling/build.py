"""From a command's options to a job: the model is read, its parts are built, and everything is checked before any work begins.

    options = read_options(SamplingOptions, config)
    job = plan_job(options, model_of(options), Path("samples"))
    drawn = draw_job(job, processes_of(options))    # on every process; drawn.shards are the images

A cascade: the first model draws small images, each further one upsamples those before it (Ho et al. 2021, arXiv 2106.15282). Each stage is
a set of images like any other, and the job of the last one knows those before it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from difflab.checkpoints.load import LoadedModel, load_model
from difflab.checkpoints.trained_data import judged_data
from difflab.conditioning import low_resolution_of
from difflab.config.build import build, resolved
from difflab.config.groups import ConfigError
from difflab.data.errors import some, warn
from difflab.distributed import Processes
from difflab.guidance import ClassifierFree
from difflab.metrics import Protocol
from difflab.reading.json import fields
from difflab.runs import RunDirectory
from difflab.runtime.console import quiet_lightning
from difflab.sampling.conditions import (
    Conditions,
    Drawing,
    OfStage,
    Several,
    default_for,
    images_of_stages,
    set_level,
    with_words,
)
from difflab.sampling.given import OfImages
from difflab.sampling.job import SamplingJob
from difflab.sampling.options import SamplingOptions
from difflab.sampling.shards import Shards
from difflab.training.callbacks import GuidanceCallback
from difflab.types import Label


def processes_of(options: SamplingOptions) -> Processes:
    """The processes that the options ask for; they do not run yet."""
    quiet_lightning()
    return Processes(options.accelerator, options.devices, options.num_nodes, options.threads)


def model_of(options: SamplingOptions) -> LoadedModel:
    """The model that the options name.

    Raises:
        ValueError: There is none, or it cannot be read.
    """
    std = None if options.ema is None else options.ema["std"]
    track, flags = (None if word is None else str(word) for word in (options.track, options.flags))
    return load_model(str(options.checkpoint), track, flags, std)


def plan_stages(stages: Sequence[SamplingOptions], out: Path | Callable[[Path, Protocol], Path]) -> SamplingJob:
    """The job of the last stage of a cascade, or of a model by itself. Everything is checked for all stages before any work.

    Args:
        stages: What is said of each; of a model by itself one.
        out: Where the last stage goes, the others below it; or from a model's file and what the images depend on to the place of a stage.

    Raises:
        ValueError: A stage cannot be drawn; of a cascade it is a ConfigError that names the stage.
    """
    if len(stages) == 1:
        return plan_job(stages[0], model_of(stages[0]), out)
    counts = images_of_stages(stages[0].num_samples, [options.batch_size for options in stages])
    job: SamplingJob | None = None
    for i, (options, count) in enumerate(zip(stages, counts, strict=True)):
        last = i == len(stages) - 1
        place = out if last or not isinstance(out, Path) else out / "stages" / str(i)
        try:
            model = model_of(options)
            if job is not None:
                _check_fits(job, model)
            job = plan_job(options, model, place, job, count)
        except ValueError as error:
            raise ConfigError(f"stage {i} ({options.checkpoint}): {error}") from error
    assert job is not None
    return job


def plan_job(
    options: SamplingOptions,
    model: LoadedModel,
    out: Path | Callable[[Path, Protocol], Path],
    before: SamplingJob | None = None,
    count: int | None = None,
) -> SamplingJob:
    """The job of one model.

    Args:
        options: What is said of the drawing.
        model: Which draws.
        out: Where the images go; or from the model's file and what they depend on to that place.
        before: The stage whose images are upsampled, in place of those that the options name: each is drawn for that of its seed.
        count: Images that are drawn; None for as many as the options ask for.

    Raises:
        ValueError: It cannot be drawn; one line says why.
    """
    config = as_chosen(options, model)
    sampler = _part(config, "sampler")
    sampler.check(model.denoiser.schedule, model.denoiser.process, model.denoiser.image_shape)
    guidance = GuidanceCallback(_part(config, "guidance"))
    guidance.check(model.dropout)
    num_classes = model.num_classes or guidance.num_classes
    guidance.check_model(model.denoiser, num_classes)
    drawn = options.num_samples if count is None else count
    known = _conditions(options, config, model, num_classes, before is not None)
    conditions = known if before is None else _after(known, before)
    seeds = torch.arange(options.first_seed, options.first_seed + drawn)
    _warn_of_empty(model, conditions, seeds)
    if set(model.told) - {"label", "image"}:
        known.check_told()
    # what a stage before is to draw is not there yet
    guidance.check_condition(model.denoiser, lambda: known(seeds[:1]), model.dropout)
    job = SamplingJob(model, config, sampler, guidance, build(options.compute), conditions, out, options, drawn, before)
    if not options.overwrite:
        job.folder.check()
    return job


def _conditions(
    options: SamplingOptions, config: Mapping[str, Any], model: LoadedModel, num_classes: int, is_given: bool
) -> Several:
    """For whom images are drawn, by the command, else by the run.

    Args:
        options: What the command says.
        config: Of the model, with what the command has chosen.
        model: The model.
        num_classes: Those that it is told or that guide it.
        is_given: Whether the small images are those of a stage before.
    """
    drawing = Drawing(
        model.space.decoded_shape(model.denoiser.image_shape),
        num_classes,
        model.told,
        build(config.get("conditioning") or {}),
        None if config.get("data") is None else partial(judged_data, model.config, model.file),
        options.first_seed,
        options.num_samples,
    )
    parts: dict[str, Conditions] = _part(config, "conditions") or default_for(drawing, is_given)
    low_res = None if options.low_res is None else str(options.low_res)
    return Several(with_words(parts, options.classes, low_res)).prepare(drawing)


def _after(known: Several, before: SamplingJob) -> Several:
    """The conditions of a stage whose images are those of the stage before."""
    shards = Shards(before.folder.shards, before.count, known.drawing.first_seed)
    return Several({**known.parts, "stage": OfStage(lambda: shards, before.num_classes > 0)}).prepare(known.drawing)


def _part(config: Mapping[str, Any], name: str) -> Any:
    """The part of this name; what cannot be built is named by the whole key."""
    return build({name: config[name]})[name]


def as_chosen(options: SamplingOptions, model: LoadedModel) -> dict[str, Any]:
    """The model's configuration with the sampler, guidance, steps, eta, scale and level that were chosen, plain and resolved.

    Raises:
        ValueError: One of them does not fit the model.
    """
    # the parts that were chosen replace the run's and may refer to the others, as sampler=ddpm does to the variance
    config = copy.deepcopy(dict(model.config))
    chosen = {"sampler": options.sampler, "guidance": options.guidance, "conditions": options.conditions}
    config |= {name: copy.deepcopy(node) for name, node in chosen.items() if node is not None}
    config["conditions"] = config.get("conditions") or {}
    fields(config, model.file, {"sampler": dict, "guidance": dict, "conditions": dict})
    sampler, guidance = config["sampler"], config["guidance"]
    if "_target_" not in sampler:
        said = " ".join(f"sampler.{key}" for key in sampler)
        raise ValueError(f"{said}: no sampler is chosen; choose one as well, as sampler=ddim")
    if options.steps is not None:
        if not sampler.get("grid"):
            raise ValueError(
                f"steps={options.steps}: {sampler['_target_']} has no grid of times whose number could be chosen: leave it out"
            )
        if "steps" not in sampler["grid"]:
            raise ValueError(f"steps={options.steps}: the grid of {sampler['_target_']} is not chosen by a number")
        sampler["grid"]["steps"] = options.steps
    if options.eta is not None:
        if "eta" not in sampler:
            raise ValueError(f"eta={options.eta}: {sampler['_target_']} has no eta; DDIM does")
        sampler["eta"] = options.eta
    if options.scale is not None:
        guidance = _guided(guidance, options.scale)
    # w = 1 is no guidance, whatever the kind: without it the same images have one name
    config["guidance"] = {name: node for name, node in guidance.items() if node.get("scale") != 1}
    if options.level is not None:
        set_level(config, options.level)
    return resolved(config)


def _guided(guidance: Mapping[str, Any], scale: float) -> dict[str, Any]:
    """The nodes with this scale for the one guidance that has a scale; with classifier-free guidance, innermost, where there is none.

    Raises:
        ValueError: There are several.
    """
    scaled = [name for name, node in guidance.items() if "scale" in node]
    if len(scaled) > 1:
        keys = ", ".join(f"guidance.{name}.scale" for name in scaled)
        raise ValueError(f"scale={scale:g}: there is more than one guidance with a scale; set {keys}")
    if scaled:
        return {**guidance, scaled[0]: {**guidance[scaled[0]], "scale": scale}}
    return {"classifier_free": {"_target_": f"{ClassifierFree.__module__}.ClassifierFree", "scale": scale}, **guidance}


def _warn_of_empty(model: LoadedModel, conditions: Several, seeds: Tensor) -> None:
    """Names the classes that are drawn and of which the run had no image."""
    starts = RunDirectory(model.file.parent.parent).starts()
    empty = set(starts[-1].get("empty_classes", ())) if starts and model.num_classes else set()
    giver = conditions.giver("label") if empty else None  # images that there are have no class without images
    label = None if giver is None or isinstance(giver, OfImages) else Label.of(giver(seeds))
    drawn = [] if label is None else label.number.unique().tolist()
    unlearnt = [str(number) for number in drawn if number in empty]
    if unlearnt:
        warn(
            f"{len(unlearnt):,} of the {len(drawn):,} classes that are drawn had no images in training: "
            f"{some(unlearnt[:3], len(unlearnt))}. Say which to draw, as classes=[0,1]"
        )


def _check_fits(before: SamplingJob, model: LoadedModel) -> None:
    """Raises a ConfigError if this model does not upsample what the stage before draws."""
    name = before.options.checkpoint
    drawn, classes = before.image_shape, before.num_classes
    low_resolution = low_resolution_of(build(model.config.get("conditioning") or {}))
    if low_resolution is None:
        raise ConfigError("this model draws from noise alone and upsamples nothing: only the first stage does that")
    upsampled = (low_resolution.image_channels, low_resolution.size, low_resolution.size)
    if drawn != upsampled:
        raise ConfigError(
            f"it upsamples images of {_size(upsampled)}, and the stage before, {name}, draws images of {_size(drawn)}"
        )
    if classes and model.num_classes not in (0, classes):
        raise ConfigError(f"it knows {model.num_classes} classes, and the stage before, {name}, {classes}")
    if not classes and model.num_classes and before.options.classes is None:
        raise ConfigError(
            f"it needs a class, and the images of the stage before, {name}, have none: give classes=3, or labels.npy"
        )


def _size(shape: tuple[Any, ...]) -> str:
    return "x".join(map(str, shape))
