"""The training of a diffusion model."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytorch_lightning as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from difflab.callbacks.ema import EMACallback
from difflab.callbacks.guidance import GuidanceCallback
from difflab.callbacks.objective import ObjectiveCallback
from difflab.denoiser import Denoiser
from difflab.module.trained import TrainedModule
from difflab.samplers import Sampler, balanced_labels, draw


class DiffusionModule(TrainedModule[Denoiser]):
    """Trains a denoiser, and draws images with it.

    guidance      what is put around the denoiser when sampling
    sampler       how images are drawn
    num_classes   classes among which sampled labels are spread evenly; 0 for none
    All others are those of `TrainedModule`, whose model is the denoiser.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        objective: ObjectiveCallback[Denoiser],
        ema: EMACallback,
        guidance: GuidanceCallback,
        sampler: Sampler,
        optimizer: Callable[[Iterable[torch.nn.Parameter]], Optimizer],
        lr_schedule: Callable[[Optimizer], LRScheduler],
        num_classes: int,
        seed: int,
        detours: int = 0,
    ):
        super().__init__(denoiser, objective, ema, optimizer, lr_schedule, seed, detours)
        guidance.check(objective.condition_dropout)
        sampler.grid(denoiser.schedule)
        self.denoiser = denoiser
        self.guidance = guidance
        self.sampler = sampler
        self.num_classes = num_classes

    @property
    def model(self) -> Denoiser:
        return self.denoiser

    def configure_callbacks(self) -> list[pl.Callback]:
        return [self.objective, self.ema, self.guidance]

    def sample(self, seeds: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        """One image per seed from the guided denoiser, with the weights that it has now; classes evenly by seed."""
        denoise = self.guidance.wrap_denoiser(self.denoiser)
        cond = balanced_labels(seeds, self.num_classes)
        return draw(denoise, self.denoiser.schedule, self.sampler, self.denoiser.image_shape, seeds, cond)
