"""What draws the images of a job: its model on a device, in the precision that was chosen, with its guidance around it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor

from difflab.config.build import build
from difflab.features.quantization import finite
from difflab.noise import Noise
from difflab.samplers import Onlooker, draw_from, noise_of
from difflab.sampling.job import SamplingJob
from difflab.types import Condition, DenoiseFn

PRECISIONS = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""Lightning's names -> the type in which the network computes, where that is not float32 throughout."""


class Drawer:
    """seeds, condition -> images as they are stored: uint8, or float32 where they are no pixels.

    Args:
        job: Whose networks it brings to the device.
        device: Where images are drawn.
        onlooker: Is shown the walk of the batch that begins with the first seed.
    """

    def __init__(self, job: SamplingJob, device: torch.device, onlooker: Onlooker | None = None):
        self.job = job
        self.device = device
        self.onlooker = onlooker
        denoiser = job.model.denoiser.to(device).eval()
        job.compute.prepare(denoiser.network, device)
        job.guidance.to(device)
        job.model.space.to(device)
        self._quantize: Callable[[Tensor], Tensor] = build(job.options.quantization)

    def __call__(self, seeds: Tensor, cond: Condition) -> Tensor:
        looks_on = self.onlooker is not None and int(seeds[0]) == self.job.options.first_seed
        noise = noise_of(self.job.model.denoiser.image_shape, seeds, cond)
        return self.stored(self.drawn(noise, cond, self.guided(), self.onlooker if looks_on else None))

    def guided(self) -> DenoiseFn:
        """The denoiser with what guides it: anew for each batch, since it may remember the one before."""
        return self.job.guidance.wrap_denoiser(self.job.model.denoiser)

    @torch.no_grad()
    def drawn(self, noise: Noise, cond: Condition, denoise: DenoiseFn, onlooker: Onlooker | None = None) -> Tensor:
        """Images in the model's own units, [B, C, *size].

        Args:
            noise: That of the images.
            cond: What they are drawn for.
            denoise: What `guided` gives, or what is made of it.
            onlooker: Is shown the walk.
        """
        model, dtype = self.job.model.denoiser, PRECISIONS[self.job.options.precision]
        shape, sampler = model.image_shape, self.job.sampler
        # around the whole walk, so that weights are converted once; the sampler's own arithmetic is not touched by it
        with nullcontext() if dtype is None else torch.autocast(self.device.type, dtype):
            return draw_from(noise, denoise, model.schedule, sampler, shape, cond, onlooker=onlooker)

    @torch.no_grad()
    def stored(self, images: Tensor) -> Tensor:
        """Images of the model's own units as they are seen and stored."""
        space = self.job.model.space
        decoded = space.decode(images)
        return self._quantize(decoded) if space.holds_pixels else finite(decoded)
