"""Gaussian data N(mu, s^2), whose exact denoiser makes every sampler an affine map of its noise that can be read off.

E[x_0 | x_t] = mu + alpha s^2 / (alpha^2 s^2 + sigma^2) (x_t - alpha mu).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from difflab.noise import ImageNoise
from difflab.process import over
from difflab.samplers import Sampler
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, DenoiseFn, Prediction


class Impulses(ImageNoise):
    """Noise that is 1 for image 1 + k at step k and 0 everywhere else: the response to it are the chain's coefficients."""

    def normal(self, purpose: str, shape: tuple[int, ...], step: int = 0) -> Tensor:
        return (self.number == 1 + step).double().reshape(-1, 1, 1, 1)


class AffineMap(NamedTuple):
    """x_0 = offset + gain x_T + a normal variable of the given variance."""

    offset: float
    gain: float
    added: float


def gaussian_denoiser(schedule: NoiseSchedule, mu: float, s: float, fraction: float = 0.0) -> DenoiseFn:
    def denoise(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
        alpha, sigma = (over(value, x_t) for value in schedule(t))
        x_0 = mu + alpha * s**2 / (alpha**2 * s**2 + sigma**2) * (x_t - alpha * mu)
        return Prediction(x_0, torch.full_like(x_t, fraction))

    return denoise


def affine_map(sampler: Sampler, schedule: NoiseSchedule, denoise: DenoiseFn) -> AffineMap:
    steps = len(sampler.grid(schedule)) - 1
    x_T = torch.zeros(2 + steps, 1, 1, 1, dtype=torch.float64)
    x_T[1] = 1
    out = sampler(denoise, schedule, x_T, Condition(), Impulses(0, torch.arange(2 + steps))).flatten()
    responses = out - out[0]
    return AffineMap(out[0].item(), responses[1].item(), (responses[2:] ** 2).sum().item())
