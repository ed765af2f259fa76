"""Each reverse step multiplied with a likelihood: inpainting, and any other evidence on what is drawn.

Sohl-Dickstein et al. 2015, "Deep Unsupervised Learning using Nonequilibrium Thermodynamics" (arXiv 1503.03585), section 2.5. With a
function r_t >= 0 for each time, the densities p~(x_t) = p(x_t) r_t(x_t) / Z_t have the reverse steps

    p~(x_s | x_t)  proportional to  p(x_s | x_t) r_s(x_s)

so that the samples are of p(x_0) r_0(x_0). These are exactly so for r_t(x_t) = E[r_0(x_0) | x_t]; the paper takes one r for all times, or
lets it come up with them, r_t = r_0^(1 - t), and the steps are then nearly those. What has no influence, r_t = 1, leaves the samples as
they are. The steps are taken as those of a sampler:

    step, state = multiplied(walk, variance, log_r), walk.start(x_T)
    while state.t > 0:
        state = step(state, noise)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from difflab.binomial import drawn, probability_kept, reverse_mean
from difflab.noise import Noise
from difflab.process import Transition, posterior_mean
from difflab.samplers import SamplerState, Step, Walk
from difflab.samplers.sampler import by_step
from difflab.types import Condition, DenoiseFn
from difflab.variances import Variance

LogLikelihood: TypeAlias = Callable[[Tensor, float], Tensor]
"""(x [B, C, *size], t) -> log r_t(x) [B], through which gradients go."""

LogOdds: TypeAlias = Callable[[Tensor, float], Tensor]
"""(x [B, C, *size], t) -> log(r_t(1) / r_t(-1)) of each bit, the others being as in x; infinite for a bit that is known."""


def multiplied(walk: Walk, variance: Variance, log_r: LogLikelihood) -> Step:
    """DDPM's steps with the mean moved to mean + variance d log r_s / d mean (the paper's appendix on perturbed Gaussian transitions).

    That is the product to first order: r_s is taken to be smooth over one step, which a likelihood far narrower than that is not. The
    step to t = 0 is the mean alone, as DDPM's, where the paper's rule has no variance to move it by.

    Args:
        walk: What is walked.
        variance: The model's.
        log_r: log r_t.
    """
    chain = walk.chain
    transitions = chain.transition(torch.arange(1, len(chain) + 1))
    rows, times = by_step(transitions, walk.like), chain.times.tolist()
    final = transitions.final.tolist()

    def step(state: SamplerState, noise: Noise) -> SamplerState:
        i, x = state.step, state.image
        prediction, at = walk.predict(x, state.t), Transition(*rows[i - 1])
        mean = posterior_mean(at, prediction.x0, x)
        if final[i - 1]:
            return SamplerState(mean, times[i - 1], i - 1, x0=prediction.x0)
        with torch.enable_grad():
            place = mean.detach().requires_grad_()
            (slope,) = torch.autograd.grad(log_r(place, times[i - 1]).sum() + 0 * place.sum(), place)
        var = torch.exp(variance.log_var(prediction.variance_fraction, at, x))
        moved = mean + var * slope.to(mean)
        x = moved + var.sqrt() * noise.normal("step", tuple(x.shape[1:]), step=i).to(x)
        return SamplerState(x, times[i - 1], i - 1, x0=prediction.x0)

    return step


def multiplied_bits(walk: Walk, log_odds: LogOdds) -> Step:
    """Binomial steps with p~(x_s = 1) = p r_s(1) / (p r_s(1) + (1 - p) r_s(-1)) for each bit; exact for an r of independent bits.

    Args:
        walk: What is walked, by a model of bits.
        log_odds: log(r_t(1) / r_t(-1)).
    """
    times, a = walk.chain.times.tolist(), probability_kept(walk.chain.level.alpha).to(walk.like.device)

    def step(state: SamplerState, noise: Noise) -> SamplerState:
        i, x = state.step, state.image
        prediction = walk.predict(x, state.t)
        mean = reverse_mean(x, prediction.x0, a[i - 1 : i], a[i : i + 1]).clamp(-1 + 1e-12, 1 - 1e-12)
        mean = torch.tanh(torch.atanh(mean) + log_odds(x, times[i - 1]).to(mean) / 2)
        x = drawn(mean, noise.uniform("step", tuple(x.shape[1:]), step=i)).to(x)
        return SamplerState(x, times[i - 1], i - 1, x0=prediction.x0)

    return step


def of_known_bits(known: Tensor, keep: Tensor, denoise: DenoiseFn, cond: Condition) -> LogOdds:
    """Inpainting of bits: a delta function for those that are known, a constant for the others; and what that makes of earlier times.

    r_t(x) is the product of p(x_0 = known | x_t = x) over the known bits, each by the model, and the log-odds of a bit of x are
    2 d log r_t / dx: a difference between its two values, to first order. One call of the denoiser and a gradient each step. A delta
    function at all times, the paper's shorter way, lets the other bits make up their minds before the known ones weigh anything.

    Args:
        known: Bits in {-1, 1}, [B, C, *size]; those that are not kept are not looked at.
        keep: True where a bit is known.
        denoise: The model of bits, guided or not.
        cond: What the examples are drawn for.
    """
    sure = torch.where(keep, known.sign() * torch.inf, torch.zeros_like(known))

    def log_odds(x: Tensor, t: float) -> Tensor:
        if t == 0:
            return sure
        times = torch.full((len(x),), t, dtype=torch.float64, device=x.device)
        with torch.enable_grad():
            place = x.detach().requires_grad_()
            right = (1 + known.to(x) * denoise(place, times, cond).x0) / 2
            log_r = torch.where(keep, right.clamp(min=1e-6).log(), torch.zeros_like(right)).sum()
            (slope,) = torch.autograd.grad(log_r, place)
        return 2 * slope

    return log_odds
