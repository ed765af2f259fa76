"""Self-conditioning: a network that sees an earlier estimate of x_0 as further channels (Chen et al. 2022, arXiv 2208.04202, section 3)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.networks.network import Network
from difflab.types import Condition, Estimate


class SelfConditioned(Network):
    """F(x, time, cond) = network([x, estimate], time, cond), zeros in place of an estimate that there is not.

    A denoiser with such a network makes its own first look, F(x, time, 0), wherever no estimate is given: under every guidance, in every
    sampler and in likelihoods. It then is a function of (x_t, t, cond) as any other, at twice the cost; guidance=[last_estimate] hands the
    prediction of the step before on in its place, as the paper's algorithm 2 does.

    Args:
        network: With twice as many input channels as the image.
    """

    reads_estimate = True

    def __init__(self, network: Network):
        super().__init__()
        if network.in_channels % 2:
            raise ValueError(
                f"network=self_conditioned: the inner network takes {network.in_channels} channels, and must take the image's twice"
            )
        self.network = network
        self.image_size, self.out_channels = network.image_size, network.out_channels
        self.attention_places = network.attention_places
        self.in_channels = network.in_channels // 2
        self.condition_channels = network.condition_channels

    def forward(
        self, x: Float[Tensor, "b c *size"], time: Float[Tensor, " b"], cond: Condition
    ) -> Float[Tensor, "b o *size"]:
        estimate = Estimate.of(cond)
        known = None if estimate is None else estimate.values
        return self.network(torch.cat([x, torch.zeros_like(x) if known is None else known.to(x)], dim=1), time, cond)
