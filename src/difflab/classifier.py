"""The noisy classifier: network o schedule o parameterization (Dhariwal and Nichol 2021, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from difflab.former_names import Neutral
from difflab.networks import Encoder
from difflab.noise_conditioning import NoiseConditioning
from difflab.noisy_model import AS_SCHEDULED, NoisyModel
from difflab.parameterizations import Parameterization
from difflab.process import over
from difflab.schedules import NoiseSchedule
from difflab.types import Condition


class NoisyClassifier(NoisyModel):
    """The logits of p(y | x_t), [B, K]: (x_t, t) -> logits, a `ClassifyFn`. The network is fed c_in x_t and c_noise, as a denoiser's is.

    Args:
        network: (x [B, C, H, W], time [B]) -> [B, K].
        schedule: t -> (alpha, sigma); a denoiser that it guides may have another one, if its x_t has the same alpha and sigma at t.
        parameterization: c_in and c_noise; its other coefficients are for denoisers.
        noise_conditioning: What number the network is told of the noise; nothing for what schedule and parameterization say.

    Raises:
        ValueError: The network's input is not finite at t = 1.
    """

    def __init__(
        self,
        network: Encoder,
        schedule: NoiseSchedule,
        parameterization: Parameterization,
        noise_conditioning: Neutral[NoiseConditioning | Mapping[str, Any]] = AS_SCHEDULED,
    ):
        super().__init__(network, schedule, parameterization, noise_conditioning)
        _, noisiest = self.coefficients(torch.ones(1, dtype=torch.float64))
        if not (noisiest.c_in.isfinite().all() and noisiest.c_noise.isfinite().all()):
            raise ValueError(
                f"{type(parameterization).__name__} has no finite input for the network at t = 1 of this schedule: use "
                "parameterization=epsilon, or a schedule that keeps some signal"
            )
        self.num_classes = network.out_channels

    def forward(self, x_t: Float[Tensor, "b c *size"], t: Float64[Tensor, " b"]) -> Float[Tensor, "b k"]:
        _, c = self.coefficients(t)
        return self.network(over(c.c_in, x_t) * x_t, c.c_noise, Condition()).to(x_t.dtype)
