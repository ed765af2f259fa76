"""Ancestral sampling of bits."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.binomial import BITS, drawn, probability_kept, reverse_mean
from difflab.noise import Noise
from difflab.samplers.grids import Grid
from difflab.samplers.priors import Prior
from difflab.samplers.sampler import Sampler, SamplerState, Step, Walk
from difflab.schedules import NoiseSchedule


class FairCoins(Prior):
    """Each bit is 1 or -1, with probability 1/2: what the forward process ends at, whatever it began with."""

    def __call__(
        self, schedule: NoiseSchedule, t: Float64[Tensor, " 1"], shape: tuple[int, ...], noise: Noise
    ) -> Tensor:
        u = noise.uniform("x_T", shape)
        return drawn(torch.zeros_like(u), u)


class BinomialAncestral(Sampler):
    """x_s ~ p(x_s | x_t), bit by bit, down to bits of x_0 (Sohl-Dickstein et al. 2015, eq. 4, and appendix, "binomial").

    For a model whose x0 is the mean of bits in {-1, 1}, as `BinaryDenoiser`'s is.

    Args:
        grid: The times; fewer than the schedule's make longer steps.
    """

    prior = FairCoins()
    process = BITS

    def __init__(self, grid: Grid):
        self.grid = grid

    def steps(self, walk: Walk) -> Step:
        times, a = walk.chain.times.tolist(), probability_kept(walk.chain.level.alpha).to(walk.like.device)

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            i, x = state.step, state.image
            prediction = walk.predict(x, state.t)
            mean = reverse_mean(x, prediction.x0, a[i - 1 : i], a[i : i + 1])
            x = drawn(mean, noise.uniform("step", tuple(x.shape[1:]), step=i)).to(x)
            return SamplerState(x, times[i - 1], i - 1, x0=prediction.x0)

        return step
