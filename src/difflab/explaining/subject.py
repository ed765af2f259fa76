"""The model that is looked into: how it is asked, the images that it learnt from, and how they are seen."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from difflab.checkpoints.trained_data import held_out_data, trained_data
from difflab.config.build import build
from difflab.config.groups import ConfigError
from difflab.data import ImageDataset
from difflab.data.subset import Spread
from difflab.denoiser import Denoiser
from difflab.features import to_uint8
from difflab.guidance import chained
from difflab.noise import ImageNoise
from difflab.samplers import DDIM
from difflab.samplers.grids import Grid, UniformGrid
from difflab.sampling.job import SamplingJob
from difflab.types import Condition, DenoiseFn

OTHERWISE = 50
"""Steps of a walk where the run's sampler has no grid of times."""


class Subject:
    """A model, planned as sample.py does.

    Args:
        job: By which it draws.
        device: Where it is asked.
    """

    def __init__(self, job: SamplingJob, device: torch.device):
        self.job, self.device, self.space = job, device, job.model.space
        self.denoiser: Any = job.model.denoiser.to(device).eval()
        job.guidance.to(device)
        self.space.to(device)
        self.schedule = self.denoiser.schedule
        self.shape = tuple(self.denoiser.image_shape)

    @property
    def no_walk(self) -> str:
        """Why there is no walk from Gaussian noise to be looked at; "" where there is one."""
        if isinstance(self.denoiser, Denoiser):
            return ""
        return f"a {type(self.denoiser).__name__} does not walk from Gaussian noise step by step"

    @property
    def no_pictures(self) -> str:
        """Why what it draws cannot be shown beside each other; "" where it can."""
        if self.space.holds_pixels and len(self.job.image_shape) == 3:
            return ""
        return "what it draws are no pictures"

    @cached_property
    def no_data(self) -> str:
        """Why the images that it was trained on cannot be looked at; "" where they can."""
        if self.job.config.get("data") is None:
            return "nothing is known of the images that it was trained on"
        try:
            _ = self.trained
        except ConfigError as error:
            return str(error)
        return ""

    @cached_property
    def trained(self) -> ImageDataset:
        """The images that it was trained on; a ConfigError where they are not at hand."""
        return trained_data(self.job.model.config, self.job.model.file)

    @cached_property
    def held_out(self) -> ImageDataset | None:
        """Those that were kept from training; None where none were."""
        model = self.job.model
        return held_out_data(model.config, model.file) if model.config.get("held_out") else None

    @property
    def origin(self) -> str:
        """Which images `real` gives."""
        return "training images" if self.held_out is None else "held-out images"

    def real(self, count: int) -> tuple[Tensor, Condition]:
        """x_0 of held-out images, else of training images, spread evenly over them, and what the model is told of them."""
        dataset = self.trained if self.held_out is None else self.held_out
        chosen = Spread(dataset, min(count, len(dataset)))
        index = torch.arange(len(chosen))
        images = chosen.images(index.tolist())
        examples = images.to(self.device).float()
        noise = ImageNoise(0, index.to(self.device))
        examples = examples / 127.5 - 1 if images.dtype == torch.uint8 else examples
        cond = self.job.conditions.drawing.condition_of(chosen.condition(index).to(self.device), examples, noise)
        return self.space.encode(examples, noise), cond.kept()

    def denoise(self) -> DenoiseFn:
        """How it is asked where it draws: within its guidance, anew for each walk."""
        return self.job.guidance.wrap_denoiser(self.denoiser)

    def bounded(self) -> DenoiseFn:
        """The model within the bounds on x_0 that its guidance sets, and else without guidance."""
        parts = self.job.guidance.guidances.values()
        return chained([part for part in parts if part.bounds_x0], self.denoiser)

    def seeds(self, count: int) -> Tensor:
        """The first of those that the command names."""
        return self.job.options.first_seed + torch.arange(count, device=self.device)

    def cond(self, seeds: Tensor) -> Condition:
        """For whom images of these seeds are drawn."""
        return self.job.conditions(seeds.cpu()).to(self.device).kept()

    def grid(self, steps: int | None = None) -> Grid:
        """The times of the sampler that was chosen, or so many of that kind."""
        node = self.job.config["sampler"].get("grid")
        if node and "steps" in node and steps is not None:
            return build({**node, "steps": steps})
        if node and steps is None:
            return build(node)
        return UniformGrid(OTHERWISE if steps is None else steps)

    def ddim(self, steps: int | None = None) -> DDIM:
        """The deterministic sampler along these times."""
        return DDIM(self.grid(steps))

    def start(self, sampler: DDIM, seeds: Tensor) -> Tensor:
        """x_T of these seeds."""
        return sampler.initial_noise(self.schedule, self.shape, ImageNoise(0, seeds)).float()

    @torch.no_grad()
    def walk(self, sampler: DDIM, x_T: Tensor, cond: Condition) -> Tensor:
        """The images at the end of a deterministic walk."""
        noise = ImageNoise(0, torch.zeros(len(x_T), dtype=torch.int64, device=self.device))
        return sampler(self.denoise(), self.schedule, x_T, cond, noise)

    def seen(self, x_0: Tensor) -> Tensor:
        """As pictures: uint8 [B, C, H, W]."""
        return to_uint8(self.space.decode(x_0)).cpu()
