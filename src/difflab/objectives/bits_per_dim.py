"""Bits per dimension: the variational bound on -log2 p(x_0), every term of it (Ho et al. 2020, eq. 5; Nichol and Dhariwal 2021).

    -log p(x_0) <= KL(q(x_T | x_0) || p(x_T)) + sum_{i=2}^N KL(q(x_s | x_t, x_0) || p(x_s | x_t)) - log p(x_0 | x_1)

each term estimated with one draw of x_t, in bits per dimension of the image. The chain may have fewer steps than the schedule: its bound is
another one, of the sampler with these steps. Any denoiser has a bound, so that clipping, guidance and averaged weights are wrapped
around it as they are for sampling.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.noise import Noise
from difflab.objectives.vlb import bound_term
from difflab.process import eps_from_x0, perturb
from difflab.schedules import Chain
from difflab.types import Condition, DenoiseFn
from difflab.variances import Variance


class BoundStep(NamedTuple):
    """One step of the chain, per image [B].

    Attributes:
        t: The time at its noisy end.
        vb: Its term of the bound, bits per dimension.
        x0_mse: |x_0 prediction - x_0|^2, mean over pixels.
        eps_mse: |eps of that prediction - eps|^2, mean over pixels.
    """

    t: float
    vb: Float[Tensor, " b"]
    x0_mse: Float[Tensor, " b"]
    eps_mse: Float[Tensor, " b"]


@torch.no_grad()
def bound_steps(
    x_0: Float[Tensor, "b c *size"], cond: Condition, denoise: DenoiseFn, variance: Variance, chain: Chain, noise: Noise
) -> Iterator[BoundStep]:
    """The steps of the chain, the noisiest first; one call of the denoiser each.

    Args:
        x_0: 8-bit images as u / 127.5 - 1: the last step is the likelihood of their grey levels. Of points [B, C] it is their density.
        cond: Their condition.
        denoise: The denoiser whose bound it is.
        variance: The model's.
        chain: The steps of the bound.
        noise: eps of each image and step is a function of (seed, image number, step), so an image has the same bound in any batch.
    """
    chain = chain.to(x_0.device)
    for step in range(len(chain), 0, -1):
        i = torch.full((len(x_0),), step, device=x_0.device)
        eps = noise.normal("bits_per_dim", tuple(x_0.shape[1:]), step).to(x_0)
        x_t = perturb(x_0, eps, chain[i])
        prediction = denoise(x_t, chain.times[i], cond)
        yield BoundStep(
            t=float(chain.times[step]),
            vb=bound_term(x_0, x_t, prediction, variance, chain, i),
            x0_mse=_mean_square(prediction.x0 - x_0),
            eps_mse=_mean_square(eps_from_x0(x_t, prediction.x0, chain[i]) - eps),
        )


def _mean_square(x: Tensor) -> Tensor:
    return x.square().flatten(1).mean(1)
