"""Interpolation and inpainting by annealed Langevin dynamics (Song and Ermon 2019, 2020)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from difflab.noise import Noise, NoiseBetween
from difflab.samplers import AnnealedLangevin
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, DenoiseFn

__all__ = ["langevin_inpainted", "langevin_interpolated"]


@torch.no_grad()
def langevin_interpolated(
    denoise: DenoiseFn,
    schedule: NoiseSchedule,
    sampler: AnnealedLangevin,
    shape: tuple[int, ...],
    a: Noise,
    b: Noise,
    share: Shaped[Tensor, " b"],
    cond: Condition,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "b c *size"]:
    """Images between two: each step has the noise cos(phi) z_a + sin(phi) z_b, phi = share pi / 2 (Song and Ermon 2020, appendix C.1).

    All begin with the x_T of a, so that a share of 0 is the image of a; that of 1 has b's noise, and not b's beginning.

    Args:
        denoise: The denoiser, guided or not.
        schedule: The model's.
        sampler: The walk.
        shape: (C, *size) of an image.
        a: Noise of the images at a share of 0.
        b: Noise of those at 1.
        share: How far from a to b each is, [B] in [0, 1].
        cond: What they are drawn for.
        dtype: Type of the images.
    """
    x_T = sampler.initial_noise(schedule, shape, a).to(dtype)
    return sampler(denoise, schedule, x_T, cond, NoiseBetween(a, b, share))


@torch.no_grad()
def langevin_inpainted(
    denoise: DenoiseFn,
    schedule: NoiseSchedule,
    sampler: AnnealedLangevin,
    known: Float[Tensor, "b c *size"],
    mask: Bool[Tensor, "*#known"],
    cond: Condition,
    noise: Noise,
    x_T: Float[Tensor, "b c *size"] | None = None,
) -> Float[Tensor, "b c *size"]:
    """Images that are completed: before each step of Langevin dynamics the known part is known + sigma_i z, in place of what was there.

    Song and Ermon 2019, algorithm 2, which puts it in after each step; the authors' code does so before, as here, and returns the last
    image before its last step. Here the walk ends as the sampler's does, and the known part is put in as it is given.

    Args:
        denoise: The denoiser, guided or not.
        schedule: The model's.
        sampler: The walk.
        known: The images; where they are not known their values do not matter.
        mask: Where they are known, broadcastable to them.
        cond: What the images are drawn for.
        noise: That of the images.
        x_T: What the walk begins with; None for the sampler's own.
    """
    if not mask.any() or mask.all():
        raise ValueError(
            "inpainting keeps a part and fills in the rest, and the mask has "
            + ("no part" if mask.any() else "none known")
        )
    if x_T is None:
        x_T = sampler.initial_noise(schedule, tuple(known.shape[1:]), noise).to(known)
    walk = sampler.walk(denoise, schedule, x_T, cond.kept())
    levels, moved = sampler.levels(walk), sampler.moves(walk)
    mask = mask.to(known.device)
    x, at = x_T / levels[-1].alpha, levels[-1]
    for at in reversed(levels):
        for k in range(sampler.repeats):
            z = noise.normal("known", tuple(known.shape[1:]), step=at.step * sampler.repeats + k).to(known)
            x, _ = moved(torch.where(mask, known + at.sigma * z, x), at, k, noise)
    return torch.where(mask, known, sampler.finished(walk, at, x).x)
