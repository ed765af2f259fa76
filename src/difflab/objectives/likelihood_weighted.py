"""Denoising score matching with the weight under which it bounds the likelihood."""

from __future__ import annotations

import math

from jaxtyping import Float, Float64
from torch import Tensor

from difflab.denoiser import Denoiser
from difflab.noise import Noise
from difflab.objectives.objective import Objective, SquaredError
from difflab.objectives.time_samplers import TimeSampler
from difflab.process import perturb
from difflab.schedules import NoiseSchedule, diffusion
from difflab.types import Condition, Losses


class LikelihoodWeighted(Objective[Denoiser], SquaredError):
    """g^2(t) |score - grad log p(x_t | x_0)|^2 / 2, mean over pixels, in bits: the bound on -log2 p(x_0), but for a constant.

    Song et al. 2021, "Maximum Likelihood Training of Score-Based Diffusion Models" (arXiv 2101.09258), theorem 1, lambda = g^2. As a
    weight on |x_0 - x_0^|^2 it is -snr'(t) / (2 ln 2), to which `VLB` comes with more and more steps (Kingma et al. 2021, arXiv 2107.00630,
    eq. 17). The published code of Score SDE has it as `likelihood_weighting`: 2 ln 2 times this with `reduce_mean`, D ln 2 times without,
    D being the number of pixels and channels. With uniform times its variance is large, since g^2 / sigma^2 is, near t = 0; see
    `UniformLogSNR`.

    Args:
        time_sampler: How t is drawn.
    """

    def __init__(self, time_sampler: TimeSampler):
        self.time_sampler = time_sampler

    def __call__(self, denoiser: Denoiser, x_0: Float[Tensor, "b c *size"], cond: Condition, noise: Noise) -> Losses:
        t, importance = self.time_sampler(noise, denoiser.schedule)
        eps = noise.normal("eps", tuple(x_0.shape[1:])).to(x_0)
        raw = denoiser.raw(perturb(x_0, eps, denoiser.schedule(t)), t, cond)
        square = ((raw.F - raw.target(x_0, eps)) ** 2).flatten(1).mean(1)
        weight = self.x0_weight(denoiser.schedule, t, raw.c.c_out) * raw.c.c_out**2
        # formed together, in double precision: where times are many the weight is large and its importance small
        total = (importance * weight).to(square) * square
        return Losses(total, t, {"loss": weight.to(square) * square})

    def x0_weight(
        self, schedule: NoiseSchedule, t: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        """g^2 alpha^2 / (2 ln 2 sigma^4)."""
        alpha, sigma = schedule(t)
        return diffusion(schedule, t).power * alpha**2 / (2 * math.log(2) * sigma**4)

    def check(self, denoiser: Denoiser) -> None:
        self.time_sampler.check(denoiser.schedule)
        if denoiser.schedule.steps is not None:
            raise ValueError(
                f"the likelihood weight is g^2 of a schedule in continuous time, and {type(denoiser.schedule).__name__} is a table of "
                f"{denoiser.schedule.steps} steps: use objective=vlb, its bound, or a schedule such as variance_preserving"
            )
        if not denoiser.schedule.is_fixed:
            raise ValueError(
                f"the likelihood weight of {type(denoiser.schedule).__name__} is taken as given, so that it would not learn: use another "
                "objective for a schedule that learns"
            )
        if denoiser.variance.channels:
            raise ValueError(
                f"the likelihood-weighted objective does not train the variance that {type(denoiser.variance).__name__} reads from the "
                "network: use variance=fixed_small or fixed_large"
            )
