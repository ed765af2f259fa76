"""The variational bound on the likelihood."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from difflab.denoiser import Denoiser
from difflab.noise import Noise
from difflab.objectives.objective import Objective, SquaredError
from difflab.objectives.time_samplers import TimeSampler
from difflab.process import (
    discretized_normal_log_likelihood,
    normal_kl,
    normal_log_density,
    over,
    perturb,
    posterior_mean,
)
from difflab.schedules import Chain, NoiseSchedule, own_chain
from difflab.types import Condition, Losses, Prediction
from difflab.variances import Variance


def bound_term(
    x_0: Float[Tensor, "b c *size"],
    x_t: Float[Tensor, "b c *size"],
    prediction: Prediction,
    variance: Variance,
    chain: Chain,
    i: Int[Tensor, " b"],
) -> Float[Tensor, " b"]:
    """The term of step i of the bound on -log p(x_0), in bits per dimension.

    KL(q(x_s | x_t, x_0) || p(x_s | x_t)); for i = 1 the negative log-likelihood of the 8-bit image (Ho et al. 2020, eq. 5), or the
    negative log-density of a point, whose bound may be below 0.

    Args:
        x_0: 8-bit images as u / 127.5 - 1, or points [B, C], which are real values.
        x_t: Their noised form at the upper end of step i.
        prediction: What the denoiser says of x_t.
        variance: The model's.
        chain: The steps of the bound.
        i: The step of each image.
    """
    step = chain.transition(i)
    mean = posterior_mean(step, prediction.x0, x_t)
    log_var = variance.log_var(prediction.variance_fraction, step, x_t).expand_as(x_t)
    kl = normal_kl(posterior_mean(step, x_0, x_t), over(step.log_var_min, x_t), mean, log_var)
    decoder = normal_log_density if x_0.ndim == 2 else discretized_normal_log_likelihood
    nll = -decoder(x_0, mean, 0.5 * log_var)
    nats = torch.where(over(i, x_0) == 1, nll, kl)
    return nats.flatten(1).mean(1) / math.log(2)


def prior_bits(x_0: Float[Tensor, "b c *size"], chain: Chain) -> Float[Tensor, " b"]:
    """KL(q(x_T | x_0) || N(0, alpha_T^2 + sigma_T^2)) in bits per dimension: what the chain's beginning still knows of x_0.

    The variance is that of the noise from which samplers start, 1 for a variance-preserving schedule.
    """
    last = chain.to(x_0.device)[torch.full((len(x_0),), len(chain), device=x_0.device)]
    start = torch.log(last.alpha**2 + last.sigma**2)
    zero = torch.zeros((), dtype=x_0.dtype, device=x_0.device)
    kl = normal_kl(over(last.alpha, x_0) * x_0, over(torch.log(last.sigma**2), x_0), zero, over(start, x_0))
    return kl.flatten(1).mean(1) / math.log(2)


class VLB(Objective[Denoiser], SquaredError):
    """T times the term of the bound at a drawn step: an estimate of the whole bound (but for its constant term at t = 1), bits/dim.

    Ho et al. 2020, eq. 5; L_vlb of Nichol and Dhariwal 2021, where times are drawn by loss second moments. Under a schedule that learns the
    term at t = 1 is no constant, and is added: without it, the cheapest schedule would be one that never destroys the image.

    Args:
        time_sampler: How t is drawn.
    """

    def __init__(self, time_sampler: TimeSampler):
        self.time_sampler = time_sampler

    def __call__(self, denoiser: Denoiser, x_0: Float[Tensor, "b c *size"], cond: Condition, noise: Noise) -> Losses:
        t, importance = self.time_sampler(noise, denoiser.schedule)
        eps = noise.normal("eps", tuple(x_0.shape[1:])).to(x_0)
        x_t = perturb(x_0, eps, denoiser.schedule(t))
        bound = self.error(denoiser, x_0, x_t, t, denoiser(x_t, t, cond))
        losses = Losses(importance.to(bound) * bound, t, {"loss": bound, "vlb": bound})
        return self.with_prior(losses, denoiser, x_0)

    def with_prior(self, losses: Losses, denoiser: Denoiser, x_0: Tensor, weight: float = 1.0) -> Losses:
        """Adds the term at t = 1, where the schedule learns; it belongs to no drawn time, so no importance divides it.

        Args:
            losses: With an estimate of the other terms as "vlb".
            denoiser: What is trained.
            x_0: The images.
            weight: Of the bound in the total.
        """
        if denoiser.schedule.is_fixed:
            return losses
        prior = prior_bits(x_0, own_chain(denoiser.schedule, x_0.device))
        terms = losses.terms | {"vlb": losses.terms["vlb"] + prior, "prior": prior}
        return Losses(losses.total + weight * prior, losses.t, terms)

    def error(
        self, denoiser: Denoiser, x_0: Tensor, x_t: Tensor, t: Tensor, prediction: Prediction
    ) -> Float[Tensor, " b"]:
        """T times the term at t, per example."""
        chain = own_chain(denoiser.schedule, t.device)
        return len(chain) * bound_term(x_0, x_t, prediction, denoiser.variance, chain, chain.index(t))

    def x0_weight(
        self, schedule: NoiseSchedule, t: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        """T coef_x0^2 / (2 var ln 2), which is T (snr_s - snr_t) / (2 ln 2) with the posterior's variance; the step to 0 is no square.

        A variance that is learned, or fixed to another one, divides by that; it is near the posterior's wherever steps are many.
        """
        chain = own_chain(schedule, t.device)
        step = chain.transition(chain.index(t))
        weight = len(chain) * step.coef_x0**2 / (2 * math.log(2) * step.posterior_var)
        return torch.where(step.final, torch.nan, weight)

    def check(self, denoiser: Denoiser) -> None:
        chain = own_chain(denoiser.schedule)
        drawn = denoiser.schedule.time(torch.tensor([0.123456789], dtype=torch.float64))
        if not torch.isclose(chain.times[chain.index(drawn)], drawn).all():
            raise ValueError(
                f"the bound is a sum over steps, and {type(denoiser.schedule).__name__} trains on noise levels between them: use "
                "objective=simple, or the table itself as schedule"
            )
        self.time_sampler.check(denoiser.schedule)
