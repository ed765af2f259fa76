"""Bernoulli algebra of bits x in {-1, 1} that are forgotten one after the other (Sohl-Dickstein et al. 2015, appendix, "binomial").

A step of the forward process leaves a bit as it is with probability 1 - beta, and else tosses a coin:

    q(x_t = 1 | x_s = 1) = (1 - beta) + beta / 2,     hence     E[x_t | x_0] = a_t x_0

With a_t = prod (1 - beta), how probable it is that the bit is still the one of the data. It is alpha_t^2 of a schedule, so that the betas
of a table are those of the paper, and `schedules.harmonic`, beta_i = 1 / (T - i + 1), is the one it used. A bit's distribution is its mean
m in [-1, 1]: p(x = 1) = (1 + m) / 2. With r = a_t / a_s,

    E[x_s | x_t, x_0] = (r x_t + a_s x_0) / (1 + a_t x_t x_0)                                   posterior
    E[x_s | x_t]      = sum over x_0 = 1, -1 of p(x_0 | x_t) E[x_s | x_t, x_0]                  reverse step

The second line is exact for each bit, whatever the bits have to do with each other; that they are drawn one by one is what makes the step
an approximation, the better the smaller it is. The paper lets the network say the mean of x_s itself. Pure functions; a is float64 [B].
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from difflab.process import over

BITS = "bits"
"""The process of this module, as models and samplers of it call it."""


def probability_kept(alpha: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
    """a = alpha^2."""
    return alpha**2


def drawn(mean: Float[Tensor, "b c *size"], u: Float[Tensor, "b c *size"]) -> Float[Tensor, "b c *size"]:
    """Bits in {-1, 1} with these means, by uniform numbers u."""
    return torch.where(u < (1 + mean) / 2, 1.0, -1.0)


def noised(
    x_0: Float[Tensor, "b c *size"], a: Float64[Tensor, " b"], u: Float[Tensor, "b c *size"]
) -> Float[Tensor, "b c *size"]:
    """x_t ~ q(x_t | x_0), in the type of x_0."""
    return drawn(over(a, x_0) * x_0, u.to(x_0)).to(x_0)


def posterior_mean(
    x_t: Float[Tensor, "b c *size"],
    x_0: Float[Tensor, "b c *size"],
    a_s: Float64[Tensor, " b"],
    a_t: Float64[Tensor, " b"],
) -> Float64[Tensor, "b c *size"]:
    """E[x_s | x_t, x_0], float64."""
    x_t, x_0 = x_t.double(), x_0.double()
    mean = over(a_t / a_s, x_t) * x_t + over(a_s, x_t) * x_0
    return (mean / (1 + over(a_t, x_t) * x_t * x_0)).clamp(-1, 1)


def reverse_mean(
    x_t: Float[Tensor, "b c *size"],
    mean_0: Float[Tensor, "b c *size"],
    a_s: Float64[Tensor, " b"],
    a_t: Float64[Tensor, " b"],
) -> Float64[Tensor, "b c *size"]:
    """E[x_s | x_t], float64, of a model that says E[x_0 | x_t] = mean_0."""
    up = (1 + mean_0.double()) / 2
    one = torch.ones_like(x_t)
    return up * posterior_mean(x_t, one, a_s, a_t) + (1 - up) * posterior_mean(x_t, -one, a_s, a_t)


def kl(mean_1: Float64[Tensor, ...], mean_2: Float64[Tensor, ...]) -> Float64[Tensor, ...]:
    """KL(p_1 || p_2) of bits with these means, elementwise, in nats; -log p_2(x) where the first is sure of x."""
    up_1, up_2 = (1 + mean_1) / 2, ((1 + mean_2) / 2).clamp(1e-12, 1 - 1e-12)
    above = torch.xlogy(up_1, up_1) - up_1 * torch.log(up_2)
    return above + torch.xlogy(1 - up_1, 1 - up_1) - (1 - up_1) * torch.log1p(-up_2)
