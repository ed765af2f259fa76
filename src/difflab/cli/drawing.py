"""A set of images as a configuration describes it: what sample.py writes and evaluate.py measures.

processes = processes_of(config)
plan = plan_set(config, source_of(config), Path(config.out))
drawn = draw_planned(plan, processes)    # on every process
...                                      # drawn.shards is an ImageSource
drawn.folder.end()                       # gives `out` back
processes.finish()
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torchvision.utils import save_image

from difflab.callbacks import GuidanceCallback
from difflab.callbacks.evaluation import grid_columns, grid_of
from difflab.cli.choices import as_chosen
from difflab.cli.enlarged import Enlarged, enlarged_by
from difflab.cli.guidance_fields import guidance_fields
from difflab.cli.model_source import ModelSource, load_model
from difflab.cli.values import OrNull, Real, Switch, Text, Whole, check_values
from difflab.conditioning import Conditions
from difflab.launch import Interruption, Processes
from difflab.metrics import Protocol
from difflab.metrics.embed import LabelledSource
from difflab.samplers import Sampler, draw
from difflab.sampling import (
    Classes,
    DrawingProgress,
    EnlargementOf,
    GivenImages,
    SamplingError,
    SetFolder,
    Shards,
    classes_of,
    draw_missing,
)
from difflab.sampling.drawing import DrawBatch
from difflab.sampling.whole import whole_file
from difflab.types import Condition

PRECISIONS = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""Lightning's names -> the type in which the network computes, where that is not float32 throughout."""

_STEPS = Text("a number of steps, like 250, ddim25 or '10,20,30'", r"(ddim)?0*[1-9]\d*|0*[1-9]\d*(,0*[1-9]\d*)+")

DRAWING_VALUES = {
    "num_samples": Whole(1),
    "batch_size": Whole(1),
    "first_seed": Whole(0),
    "grid": Whole(1),
    "track": OrNull(Text("the name of one track")),
    "flags": OrNull(Text("a text")),
    "low_res": OrNull(Text("the path of a file or folder")),
    "level": OrNull(Real(0)),
    "steps": OrNull(_STEPS),
    "eta": OrNull(Real(0)),
    "scale": OrNull(Real()),
    "sampler.eta": Real(0),
    "sampler.grid.steps": _STEPS,
    "guidance.classifier_free.scale": Real(),
    "ema.std": Real(0),
    "precision": Text(f"one of {', '.join(PRECISIONS)}", "|".join(map(re.escape, PRECISIONS))),
    "overwrite": Switch(),
    "keep_shards": Switch(),
    "devices": OrNull(Whole(1)),
    "num_nodes": OrNull(Whole(1)),
    "threads": Whole(1),
}
"""What the values have to be that say how images are drawn."""

_MARGIN = 120.0
"""Seconds before the end of a SLURM allocation at which drawing stops."""


@dataclass(frozen=True)
class SetPlan:
    """A set of images that can be drawn: everything was read, built and checked.

    config    the model's configuration with the sampler and guidance that were chosen, plain and resolved
    classes   of which class each image is
    enlarged  images to be enlarged, of a model that does; None for one that draws from noise alone
    out       where the images go; or from the model's file and what the images depend on to that place
    request   num_samples, first_seed, batch_size and what else the command said
    """

    source: ModelSource
    config: dict[str, Any]
    sampler: Sampler
    guidance: GuidanceCallback
    classes: Classes
    enlarged: Enlarged | None
    out: Path | Callable[[Path, Protocol], Path]
    request: DictConfig

    @property
    def protocol_fields(self) -> dict[str, Any]:
        """What of a number's protocol the samples are: nothing here depends on how or where they are drawn."""
        first, count = self.request.first_seed, self.request.num_samples
        return {
            "sampler": self.config["sampler"],
            "guidance": guidance_fields(self.config["guidance"], self.guidance.guidances),
            "track": self.source.track,
            "seeds": f"{first} .. {first + count - 1}",
            **self.conditions.fields,
            "precision": self.request.precision,
            "quantization": self.request.quantization._target_,
        }

    @cached_property
    def conditions(self) -> Conditions:
        """What each image is drawn for. Images that are to be enlarged are opened when it is first asked for."""
        if self.enlarged is None:
            return self.classes
        with_labels = self.source.num_classes > 0 and self.request.classes is None
        return EnlargementOf(self.enlarged.given, None if with_labels else self.classes, self.request.first_seed)

    @property
    def pairs(self) -> GivenImages | None:
        """What each image is compared with; None for those of a model that draws from noise alone."""
        return None if self.enlarged is None else self.enlarged.given

    @property
    def subject(self) -> dict[str, Any]:
        """Which model it is."""
        run = self.source.config.get("run")
        return {
            "checkpoint": str(self.source.file),
            "step": self.source.step,
            "weights_sha256": self.source.weights_sha256,
            "seed": self.source.config.get("seed"),
            "run": None if run is None else run.name,
        }

    @cached_property
    def folder(self) -> SetFolder:
        """Where it is drawn, bound to all that the images depend on to the last bit."""
        parts = ("network", "schedule", "parameterization", "variance")
        size = self.request.batch_size
        bits = {
            "weights_sha256": self.source.weights_sha256,
            "model": {name: self.config[name] for name in parts if name in self.config},
            "first_seed": self.request.first_seed,
            "batch_size": size,
            "threads": self.request.threads,
        }
        fields = {name: value for name, value in self.protocol_fields.items() if name != "seeds"}
        bound_to = Protocol.of(fields | bits)
        place = self.out if isinstance(self.out, Path) else self.out(self.source.file, bound_to)
        return SetFolder(place, bound_to, size)

    def draw_batch(self, device: torch.device) -> DrawBatch:
        """seeds, condition -> uint8 images."""
        denoiser = self.source.denoiser.to(device).eval()
        self.guidance.to(device)
        quantize = instantiate(self.request.quantization)
        dtype = PRECISIONS[self.request.precision]

        @torch.no_grad()
        def drawn(seeds: Tensor, cond: Condition) -> Tensor:
            # around the whole walk, so that weights are converted once; the sampler's own arithmetic is not touched by it
            with nullcontext() if dtype is None else torch.autocast(device.type, dtype):
                denoise = self.guidance.wrap_denoiser(denoiser)  # anew: it may remember the batch before
                images = draw(denoise, denoiser.schedule, self.sampler, denoiser.image_shape, seeds, cond)
            return quantize(images)

        return drawn


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
    for name in ("lightning_fabric", "pytorch_lightning"):  # both speak of devices at length
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*`srun` command is available.*")
    return Processes(config.accelerator, config.devices, config.num_nodes, config.threads)


def source_of(config: DictConfig) -> ModelSource:
    """The model that the configuration names. A ValueError says what is wrong."""
    posthoc_std = None if config.get("ema") is None else config.ema.std
    return load_model(str(config.checkpoint), config.track, config.flags, posthoc_std)


def plan_set(
    config: DictConfig,
    source: ModelSource,
    out: Path | Callable[[Path, Protocol], Path],
    small_images: LabelledSource | None = None,
) -> SetPlan:
    """Checks everything that can be checked before work begins. A ValueError says what is wrong.

    small_images   to be enlarged, in place of those that the configuration names: image i is drawn for small image i
    """
    check_values(config, DRAWING_VALUES)  # again: a sweep has set some of them since the command began
    model = as_chosen(config, source.config)
    sampler = instantiate(model.sampler, _convert_="all")
    sampler.grid(source.denoiser.schedule)
    guidance = GuidanceCallback(instantiate(model.guidance, _convert_="all"))
    guidance.check(source.condition_dropout)
    num_classes = source.num_classes or guidance.num_classes
    guidance.check_model(source.denoiser, num_classes)
    classes = classes_of(
        OmegaConf.to_container(config.classes) if OmegaConf.is_config(config.classes) else config.classes,  # type: ignore[arg-type]
        num_classes,
        config.first_seed,
        config.num_samples,
    )
    plain: Any = OmegaConf.to_container(model, resolve=True)
    enlarged = enlarged_by(config, model, source.denoiser.image_shape, small_images)
    plan = SetPlan(source, plain, sampler, guidance, classes, enlarged, out, config)
    if not config.overwrite:
        plan.folder.check()
    return plan


def draw_planned(plan: SetPlan, processes: Processes) -> Drawn:
    """Starts the processes and draws. SamplingStopped if it was told to stop, SamplingError if it cannot go on."""
    request, folder = plan.request, plan.folder
    processes.start()
    interruption = Interruption("", _MARGIN)
    interruption.listen()
    try:
        draw_missing(
            folder,
            request.num_samples,
            request.first_seed,
            plan.conditions,
            plan.draw_batch(processes.device),
            processes.device,
            interruption.requested,
            DrawingProgress(shown=processes.rank == 0),
            request.overwrite,
            keep_shards=request.keep_shards or not request.format,
        )
    except BaseException:
        folder.end()
        raise
    finally:
        interruption.stop_listening()
    shards = Shards(folder.shards, request.num_samples, request.first_seed)
    grid = folder.path / "grid.png"
    if processes.rank == 0:
        first = shards.images(range(min(request.grid, len(shards))))
        shown = plan.conditions.shown(first, request.first_seed + torch.arange(len(first)))
        try:
            with whole_file(grid) as path:
                save_image(grid_of(shown, grid_columns(len(first), plan.conditions.columns)), path, format="png")
        except OSError as error:
            folder.end()
            raise SamplingError(
                f"{grid} cannot be written: {error.strerror or error}. Run the same command again"
            ) from error
    return Drawn(shards, grid, folder)
