"""Samplers: (DenoiseFn, x_T) -> x_0."""

from difflab.samplers.ddim import DDIM
from difflab.samplers.ddpm import DDPM
from difflab.samplers.draw import balanced_labels, draw, shares
from difflab.samplers.euler import Euler
from difflab.samplers.heun import Heun
from difflab.samplers.sampler import NormalPrior, Prior, Sampler, SamplerState, SamplerStep, Step, Walk

__all__ = [
    "DDIM",
    "DDPM",
    "Euler",
    "Heun",
    "NormalPrior",
    "Prior",
    "Sampler",
    "SamplerState",
    "SamplerStep",
    "Step",
    "Walk",
    "balanced_labels",
    "draw",
    "shares",
]
