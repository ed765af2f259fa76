"""A set of images as a configuration describes it: what sample.py writes and evaluate.py measures.

processes = processes_of(config)
plan = plan_set(config, source_of(config), Path(config.out))
drawn = draw_planned(plan, processes)    # on every process
...                                      # drawn.shards is an ImageSource
drawn.folder.end()                       # gives `out` back
processes.finish()
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torchvision.utils import save_image

from difflab.checkpoints.load import ModelSource, load_model
from difflab.config.values import FileOrFolder, Finite, Matching, Natural, NonNegative, Positive, Word, check_values
from difflab.data.errors import some, warn
from difflab.distributed import Processes
from difflab.distributed.meeting import meeting
from difflab.distributed.world import PATIENCE
from difflab.files import atomic_file
from difflab.metrics import Protocol
from difflab.runs import RunDirectory
from difflab.runs.agreement import own_code
from difflab.runtime import Interruption
from difflab.runtime.console import quiet_lightning
from difflab.runtime.progress import Progress
from difflab.runtime.signals import DRAWING, KEEPING, signals
from difflab.sampling.classes import Classes, classes_of
from difflab.sampling.draw import draw_missing
from difflab.sampling.grid import grid_of
from difflab.sampling.job import SetPlan
from difflab.sampling.options import as_chosen
from difflab.sampling.sample_set import SamplingError, SetFolder
from difflab.sampling.shards import Shards
from difflab.sampling.upsampled import enlarged_by
from difflab.training.callbacks import GuidanceCallback

_STEPS = Annotated[
    Word, Matching("a number of steps, like 250, ddim25 or '10,20,30'", r"(ddim)?0*[1-9]\d*|0*[1-9]\d*(,0*[1-9]\d*)+")
]

DrawingValues = TypedDict(
    "DrawingValues",
    {
        "num_samples": Positive,
        "batch_size": Positive,
        "first_seed": Natural,
        "grid": Positive,
        "track": Annotated[Word, Matching("the name of one EMA, or online")] | None,
        "flags": Annotated[Word, Matching("a text")] | None,
        "low_res": FileOrFolder | None,
        "level": NonNegative | None,
        "steps": _STEPS | None,
        "eta": NonNegative | None,
        "scale": Finite | None,
        "sampler.eta": NonNegative,
        "sampler.grid.steps": _STEPS,
        "guidance.classifier_free.scale": Finite,
        "ema.std": NonNegative,
        "precision": Literal["32-true", "bf16-mixed", "16-mixed"],
        "overwrite": bool,
        "keep_shards": bool,
        "devices": Positive | None,
        "num_nodes": Positive | None,
        "threads": Positive,
        "format.webdataset.images_per_tar": Positive,
    },
)
"""What the values have to be that say how images are drawn."""

_MARGIN = 120.0
"""Seconds before the end of a SLURM allocation at which drawing stops."""


@dataclass(frozen=True)
class Drawn:
    """A set of images on the disk.

    shards   the images
    grid     a picture of the first ones
    folder   is held by this command until folder.end()
    """

    shards: Shards
    grid: Path
    folder: SetFolder


def processes_of(config: DictConfig) -> Processes:
    """The processes that the configuration asks for; they do not run yet."""
    quiet_lightning()
    return Processes(config.accelerator, config.devices, config.num_nodes, config.threads)


def source_of(config: DictConfig) -> ModelSource:
    """The model that the configuration names. A ValueError says what is wrong."""
    posthoc_std = None if config.get("ema") is None else config.ema.std
    return load_model(str(config.checkpoint), config.track, config.flags, posthoc_std)


def plan_set(
    config: DictConfig,
    source: ModelSource,
    out: Path | Callable[[Path, Protocol], Path],
    before: SetPlan | None = None,
    count: int | None = None,
) -> SetPlan:
    """Checks everything that can be checked before work begins. A ValueError says what is wrong.

    before   the stage whose images are enlarged, in place of those that the configuration names: each is drawn for that of its seed
    count    images that are drawn; None for as many as the configuration asks for
    """
    check_values(config, DrawingValues)  # again: a sweep has set some of them since the command began
    model = as_chosen(config, source.config)
    sampler = instantiate(model.sampler, _convert_="all")
    sampler.check(source.denoiser.schedule)
    guidance = GuidanceCallback(instantiate(model.guidance, _convert_="all"))
    guidance.check(source.condition_dropout)
    num_classes = source.num_classes or guidance.num_classes
    guidance.check_model(source.denoiser, num_classes)
    chosen: Any = OmegaConf.to_container(config.classes) if OmegaConf.is_config(config.classes) else config.classes
    classes = classes_of(
        chosen,
        num_classes,
        config.first_seed,
        config.num_samples,
    )
    drawn = config.num_samples if count is None else count
    _warn_of_empty(source, classes, torch.arange(config.first_seed, config.first_seed + drawn))
    plain: Any = OmegaConf.to_container(model, resolve=True)
    compute = instantiate(config.compute)
    drawn_before = None if before is None else Shards(before.folder.shards, before.count, config.first_seed)
    enlarged = enlarged_by(config, model, source, drawn_before)
    plan = SetPlan(source, plain, sampler, guidance, compute, classes, enlarged, out, config, drawn, before)
    plan.check()
    if not config.overwrite:
        plan.folder.check()
    return plan


def _warn_of_empty(source: ModelSource, classes: Classes, seeds: Tensor) -> None:
    """Names the classes that are drawn and of which the run had no image."""
    starts = RunDirectory(source.file.parent.parent).starts()
    empty = set(starts[-1].get("empty_classes", ())) if starts and source.num_classes else set()
    labels = classes(seeds).label if empty else None
    drawn = [] if labels is None else labels.unique().tolist()
    unlearnt = [str(number) for number in drawn if number in empty]
    if unlearnt:
        warn(
            f"{len(unlearnt):,} of the {len(drawn):,} classes that are drawn had no images in training: "
            f"{some(unlearnt[:3], len(unlearnt))}. Say which to draw, as classes=[0,1]"
        )


def draw_planned(plan: SetPlan, processes: Processes) -> Drawn:
    """Starts the processes and draws, the stages of a cascade one after the other. SamplingStopped if it was told to stop, SamplingError
    if it cannot go on."""
    request, folder = plan.request, plan.folder
    progress = Progress(shown=processes.rank == 0)
    if plan.before is not None:
        folder.hold(draw_planned(plan.before, processes).folder)
        plan.before.leave()
        progress.say(f"stage {len(plan.before.stages)}: enlarged by {plan.source.file}")
    meeting().roll_call({"model or settings": folder.plan.fingerprint, "difflab": own_code()})
    meeting().adjourn()
    processes.start()
    interruption = Interruption("", _MARGIN, PATIENCE.total_seconds() / 60)
    interruption.connect()
    try:
        with signals.held():
            signals.enter(DRAWING)
            draw_missing(
                folder,
                plan.count,
                request.first_seed,
                plan.conditions,
                plan.draw_batch(processes.device),
                processes.device,
                interruption.requested,
                progress,
                request.overwrite,
                keep_shards=request.keep_shards or not request.format,
            )
        signals.enter(KEEPING)
    except BaseException:
        folder.end()
        raise
    shards = Shards(folder.shards, plan.count, request.first_seed)
    grid = folder.path / "grid.png"
    if processes.rank == 0:
        first = shards.images(range(min(request.grid, len(shards))))
        shown = plan.conditions.shown(first, request.first_seed + torch.arange(len(first)))
        try:
            with atomic_file(grid) as path:
                save_image(grid_of(shown, plan.conditions.columns), path, format="png")
        except OSError as error:
            folder.end()
            raise SamplingError(str(error)) from error
    return Drawn(shards, grid, folder)
