"""The model of binomial diffusion: what each bit of x_0 is on average, given all bits of x_t."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from difflab.binomial import BITS, probability_kept
from difflab.networks.network import Network
from difflab.noise_conditioning import NoiseConditioning
from difflab.noisy_model import AS_SCHEDULED, DenoisingModel
from difflab.parameterizations import Parameterization
from difflab.process import over
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, Prediction

SUREST = 15.0
"""Log-odds beyond which a bit is taken for sure: 1 - tanh(15 / 2) is 6e-7, ten times what float32 can tell from 0."""


class BinaryDenoiser(DenoisingModel):
    """Predicts x0 = E[x_0 | x_t] of bits in {-1, 1}, which is all there is to say of one: p(x_0 = 1 | x_t) = (1 + x0) / 2.

        log-odds of x_0 = F(x_t) + x_t log((1 + a) / (1 - a)),      a = alpha_t^2

    The second term is Bayes' rule for what the bit itself says in x_t, so that the network F is left with what the others say of it:
    without it F would have to repeat its input, the louder the less noise there is.

    Args:
        network: F, with a channel for each of the data.
        schedule: Of its levels a = alpha^2 is used, see `difflab.binomial`.
        parameterization: How the network is fed (c_in, c_noise); its c_skip and c_out are not used.
        noise_conditioning: What number the network is told in place of c_noise.
    """

    process = BITS

    def __init__(
        self,
        network: Network,
        schedule: NoiseSchedule,
        parameterization: Parameterization,
        noise_conditioning: NoiseConditioning | Mapping[str, Any] = AS_SCHEDULED,
    ):
        if network.out_channels != network.in_channels:
            raise ValueError(
                f"the network puts out {network.out_channels} channels, and bits of {network.in_channels} channels need as many: set "
                f"network.out_channels={network.in_channels}"
            )
        super().__init__(network, schedule, parameterization, noise_conditioning)

    def forward(self, x_t: Float[Tensor, "b c *size"], t: Float64[Tensor, " b"], cond: Condition) -> Prediction:
        level, c = self.coefficients(t)
        a = probability_kept(level.alpha).clamp(max=1 - 1e-7)
        others = self.network(over(c.c_in, x_t) * x_t, c.c_noise, cond.at(t) if cond.controls else cond).to(x_t.dtype)
        log_odds = others + over(2 * torch.atanh(a), x_t) * x_t
        return Prediction(torch.tanh(log_odds.clamp(-SUREST, SUREST) / 2))
