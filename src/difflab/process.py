"""Gaussian algebra of x_t = alpha_t x_0 + sigma_t eps. Pure functions of (alpha, sigma).

Nothing here assumes alpha^2 + sigma^2 = 1. Coefficients are float64 [B]; `over` brings one to the shape and type of an image.

For two times s < t the forward process has the transition q(x_t | x_s) = N(alpha_ts x_s, var_ts) with

    alpha_ts = alpha_t / alpha_s
    var_ts = sigma_t^2 - alpha_ts^2 sigma_s^2           ("beta" of a DDPM step)

and the posterior q(x_s | x_t, x_0) = N(coef_x0 x_0 + coef_xt x_t, posterior_var) with

    coef_x0 = alpha_s var_ts / sigma_t^2
    coef_xt = alpha_ts sigma_s^2 / sigma_t^2
    posterior_var = var_ts sigma_s^2 / sigma_t^2

(Kingma et al. 2021, "Variational Diffusion Models", app. A; for consecutive DDPM steps Ho et al. 2020, eq. 6 and 7).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from difflab.types import AlphaSigma


class Transition(NamedTuple):
    """One step between s and t of a chain, float64 [B] each.

    Attributes:
        alpha_ts: alpha_t / alpha_s.
        var_ts: Variance of q(x_t | x_s), "beta".
        coef_x0: Factor of x_0 in the posterior mean.
        coef_xt: Factor of x_t in the posterior mean.
        posterior_var: Variance of q(x_s | x_t, x_0).
        log_var_min: log of the posterior variance, clipped from below (at s = 0 it is zero; see `transition`).
        log_var_max: log var_ts.
        final: True where s = 0: the step that ends at the clean image, whose noise is not added.
    """

    alpha_ts: Float64[Tensor, " b"]
    var_ts: Float64[Tensor, " b"]
    coef_x0: Float64[Tensor, " b"]
    coef_xt: Float64[Tensor, " b"]
    posterior_var: Float64[Tensor, " b"]
    log_var_min: Float64[Tensor, " b"]
    log_var_max: Float64[Tensor, " b"]
    final: Tensor


def over(coefficient: Tensor, image: Tensor) -> Tensor:
    """The coefficient, [B] -> [B, 1, 1, 1], in the image's type and on its device."""
    return coefficient.to(image).reshape(-1, *[1] * (image.ndim - 1))


def perturb(x_0: Tensor, eps: Tensor, level: AlphaSigma) -> Tensor:
    """x_t = alpha x_0 + sigma eps."""
    return over(level.alpha, x_0) * x_0 + over(level.sigma, x_0) * eps


def eps_from_x0(x_t: Tensor, x_0: Tensor, level: AlphaSigma) -> Tensor:
    """The noise eps = (x_t - alpha x_0) / sigma."""
    return (x_t - over(level.alpha, x_t) * x_0) / over(level.sigma, x_t)


def x0_from_eps(x_t: Tensor, eps: Tensor, level: AlphaSigma) -> Tensor:
    """x_0 = (x_t - sigma eps) / alpha."""
    return (x_t - over(level.sigma, x_t) * eps) / over(level.alpha, x_t)


def score_from_x0(x_t: Tensor, x_0: Tensor, level: AlphaSigma) -> Tensor:
    """The score grad log p(x_t) = (alpha E[x_0 | x_t] - x_t) / sigma^2 (Tweedie's formula)."""
    return (over(level.alpha, x_t) * x_0 - x_t) / over(level.sigma, x_t) ** 2


def slerp(a: Tensor, b: Tensor, share: float) -> Tensor:
    """On the arc from a to b [B, C, *size]: sin((1 - u) w) / sin w a + sin(u w) / sin w b, w the angle (Shoemake 1985; DDIM, eq. 67).

    Two draws of normal noise are nearly perpendicular, and all between them is as long as they are: normal noise again, which a straight
    line is not. Where they point the same way it is the straight line.
    """
    first, second = (x.double().flatten(1) for x in (a, b))
    cosine = torch.nn.functional.cosine_similarity(first, second).clamp(-1, 1)
    angle = torch.arccos(cosine)
    bent = torch.sin(angle) > 1e-6
    sine = torch.where(bent, torch.sin(angle), 1.0)
    of_a = torch.where(bent, torch.sin((1 - share) * angle) / sine, 1 - share)
    of_b = torch.where(bent, torch.sin(share * angle) / sine, share)
    return over(of_a, a) * a + over(of_b, b) * b


def snr(level: AlphaSigma) -> Float64[Tensor, " b"]:
    """The signal-to-noise ratio alpha^2 / sigma^2, [B]."""
    return (level.alpha / level.sigma) ** 2


def transition(at_s: AlphaSigma, at_t: AlphaSigma, floor: Tensor | None = None) -> Transition:
    """The step between s and t.

    Args:
        at_s: (alpha, sigma) at s.
        at_t: (alpha, sigma) at t.
        floor: Stands in for the posterior variance where it is zero (at s = 0), in logarithms only: Ho et al. use that of the chain's
            second step. Without one, var_ts does.
    """
    alpha_ts = at_t.alpha / at_s.alpha
    var_ts = at_t.sigma**2 - alpha_ts**2 * at_s.sigma**2
    posterior_var = var_ts * at_s.sigma**2 / at_t.sigma**2
    final = at_s.sigma == 0
    clipped = torch.where(final, var_ts if floor is None else floor, posterior_var)
    return Transition(
        alpha_ts=alpha_ts,
        var_ts=var_ts,
        coef_x0=at_s.alpha * var_ts / at_t.sigma**2,
        coef_xt=alpha_ts * at_s.sigma**2 / at_t.sigma**2,
        posterior_var=posterior_var,
        log_var_min=torch.log(clipped),
        log_var_max=torch.log(var_ts),
        final=final,
    )


def posterior_mean(step: Transition, x_0: Tensor, x_t: Tensor) -> Tensor:
    """Mean of q(x_s | x_t, x_0)."""
    return over(step.coef_x0, x_t) * x_0 + over(step.coef_xt, x_t) * x_t


def normal_kl(mean_1: Tensor, log_var_1: Tensor, mean_2: Tensor, log_var_2: Tensor) -> Tensor:
    """KL(N(mean_1, var_1) || N(mean_2, var_2)) elementwise, in nats."""
    # added up in the order of the published code: where the terms cancel, float32 then leaves the same remains
    square = (mean_1 - mean_2) ** 2 * torch.exp(-log_var_2)
    return 0.5 * (-1.0 + log_var_2 - log_var_1 + torch.exp(log_var_1 - log_var_2) + square)


def normal_cdf(x: Tensor) -> Tensor:
    """Standard normal distribution function in the tanh approximation (error below 2e-4).

    DDPM and its successors have published their likelihoods with it; the error function would give slightly different bits per dimension.
    """
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def normal_log_density(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log N(x; mean, exp(log_scale)^2) elementwise, in nats."""
    return -0.5 * (math.log(2 * math.pi) + ((x - mean) * torch.exp(-log_scale)) ** 2) - log_scale


def discretized_normal_log_likelihood(
    x_0: Float[Tensor, "b c *size"], mean: Float[Tensor, "b c *size"], log_scale: Tensor
) -> Float[Tensor, "b c *size"]:
    """The log probability that N(mean, exp(log_scale)^2) gives to the 8-bit grey level of each x_0 in [-1, 1].

    A level is an interval of width 2/255; the outermost ones reach to infinity (Ho et al. 2020, eq. 13).

    Args:
        x_0: 8-bit images as u / 127.5 - 1.
        mean: Mean of each pixel.
        log_scale: Logarithm of the standard deviation, broadcastable to x_0.

    Returns:
        Nats, elementwise.
    """
    centred, inverse = x_0 - mean, torch.exp(-log_scale)
    below = normal_cdf(inverse * (centred - 1 / 255))
    up_to = normal_cdf(inverse * (centred + 1 / 255))
    probability = torch.where(x_0 < -0.999, up_to, torch.where(x_0 > 0.999, 1 - below, up_to - below))
    return torch.log(probability.clamp(min=1e-12))
