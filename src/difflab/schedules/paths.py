"""Paths of flow matching and of stochastic interpolants, as schedules: x_t = alpha_t x_0 + sigma_t eps without any signal at t = 1."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.schedules.schedule import NoiseSchedule
from difflab.types import AlphaSigma


class LinearPath(NoiseSchedule):
    """alpha = 1 - t, sigma = t: straight lines from the image to the noise, each run through at a constant speed.

    Lipman et al. 2023, "Flow Matching", section 4.1 with sigma_min = 0; Liu et al. 2023, "Flow Straight and Fast", eq. 1; the Linear path
    of Ma et al. 2024, "SiT". Their t runs the other way, from noise at 0 to data at 1; here 0 is clean, as everywhere. The network is told
    1000 t.
    """

    steps = None

    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        t = t.double()
        return AlphaSigma(1 - t, t)

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return 1000 * t

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return u


class CosinePath(NoiseSchedule):
    """alpha = cos(pi t / 2), sigma = sin(pi t / 2): a quarter of a circle, so that alpha^2 + sigma^2 = 1 all the way.

    Albergo et al. 2023, "Stochastic Interpolants", the trigonometric path; GVP, the generalised variance-preserving path, of Ma
    et al. 2024, "SiT", whose t runs the other way. alpha is written as sin(pi (1 - t) / 2), which is 0 at t = 1 where the
    cosine in floating point is not. The network is told 1000 t.
    """

    steps = None

    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        t = t.double()
        return AlphaSigma(torch.sin(math.pi / 2 * (1 - t)), torch.sin(math.pi / 2 * t))

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return 1000 * t

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return u
