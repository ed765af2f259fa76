"""The exact bound of binomial diffusion: training by a term of it, and all of its terms."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from difflab.binary_denoiser import BinaryDenoiser
from difflab.binomial import kl, noised, posterior_mean, probability_kept, reverse_mean
from difflab.noise import Noise
from difflab.objectives.bits_per_dim import BoundStep
from difflab.objectives.objective import Objective
from difflab.objectives.time_samplers import TimeSampler
from difflab.schedules import Chain, own_chain
from difflab.types import Condition, DenoiseFn, Losses


def binomial_term(
    x_0: Float[Tensor, "b c *size"], x_t: Tensor, mean_0: Tensor, chain: Chain, i: Int[Tensor, " b"]
) -> Float[Tensor, " b"]:
    """KL(q(x_s | x_t, x_0) || p(x_s | x_t)) of step i, in bits per dimension; -log2 p(x_0 | x_1) of the first.

    Args:
        x_0: Bits in {-1, 1}.
        x_t: Their noised form at the upper end of step i.
        mean_0: What the model says of x_0.
        chain: The steps of the bound.
        i: The step of each example.
    """
    a_s, a_t = probability_kept(chain[i - 1].alpha), probability_kept(chain[i].alpha)
    nats = kl(posterior_mean(x_t, x_0, a_s, a_t), reverse_mean(x_t, mean_0, a_s, a_t))
    return (nats.flatten(1).mean(1) / math.log(2)).to(x_0.dtype)


def binomial_prior_bits(x_0: Float[Tensor, "b c *size"], chain: Chain) -> Float[Tensor, " b"]:
    """KL(q(x_T | x_0) || fair coins) in bits per dimension: 0 for a schedule that forgets all."""
    mean = probability_kept(chain.level.alpha[-1]).to(x_0.device) * x_0.double()
    return (kl(mean, torch.zeros_like(mean)).flatten(1).mean(1) / math.log(2)).to(x_0.dtype)


@torch.no_grad()
def binomial_bound_steps(
    x_0: Float[Tensor, "b c *size"], cond: Condition, denoise: DenoiseFn, chain: Chain, noise: Noise
) -> Iterator[BoundStep]:
    """The steps of the chain, the noisiest first; one call of the denoiser each. See `bound_steps`.

    The squared error of eps, which there is none of, is that of x_t: how much it has forgotten.
    """
    chain = chain.to(x_0.device)
    for step in range(len(chain), 0, -1):
        i = torch.full((len(x_0),), step, device=x_0.device)
        u = noise.uniform("bits_per_dim", tuple(x_0.shape[1:]), step)
        x_t = noised(x_0, probability_kept(chain[i].alpha), u)
        mean_0 = denoise(x_t, chain.times[i], cond).x0
        yield BoundStep(
            t=float(chain.times[step]),
            vb=binomial_term(x_0, x_t, mean_0, chain, i),
            x0_mse=(mean_0 - x_0).square().flatten(1).mean(1),
            eps_mse=(x_t - x_0).square().flatten(1).mean(1),
        )


class BinomialBound(Objective[BinaryDenoiser]):
    """T times the term of the bound at a drawn step, bits per dimension (Sohl-Dickstein et al. 2015, eq. 14; but for its term at t = 1).

    Each term is exact for the x_t that is drawn. Bits are no function of a schedule's weights through which gradients would go, so that the
    paper fixes beta_i = 1 / (T - i + 1) here (section 2.4.1); a schedule that learns is refused.

    Args:
        time_sampler: How t is drawn.
    """

    def __init__(self, time_sampler: TimeSampler):
        self.time_sampler = time_sampler

    def __call__(self, model: BinaryDenoiser, x_0: Float[Tensor, "b c *size"], cond: Condition, noise: Noise) -> Losses:
        t, importance = self.time_sampler(noise, model.schedule)
        chain = own_chain(model.schedule, t.device)
        x_t = noised(x_0, probability_kept(model.schedule(t).alpha), noise.uniform("states", tuple(x_0.shape[1:])))
        loss = len(chain) * binomial_term(x_0, x_t, model(x_t, t, cond).x0, chain, chain.index(t))
        return Losses(importance.to(loss) * loss, t, {"loss": loss, "vlb": loss})

    def check(self, model: BinaryDenoiser) -> None:
        if not model.schedule.is_fixed:
            raise ValueError(
                f"objective: no gradient of the bound of bits reaches {type(model.schedule).__name__}, which learns: use a fixed "
                "schedule, as schedule=harmonic"
            )
        own_chain(model.schedule)
        self.time_sampler.check(model.schedule)
