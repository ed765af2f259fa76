"""Predictors of Score SDE: steps of the reverse-time equation, for `PredictorCorrector` or by themselves."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.noise import Noise
from difflab.process import over, score_from_x0
from difflab.samplers.grids import Grid
from difflab.samplers.sampler import Sampler, SamplerState, Step, Walk, by_step
from difflab.types import AlphaSigma

__all__ = ["ReverseDiffusion", "ReverseFlow", "Unmoved"]


class ReverseDiffusion(Sampler):
    """x_s = (2 - alpha_ts) x_t + var_ts score + sqrt(var_ts) z: the forward step, taken back (Song et al. 2021, appendix E, eq. 46).

    The forward step x_t = alpha_ts x_s + sqrt(var_ts) z is that of the chain itself, so that any schedule and any grid will do: on a table
    it is the table's step, of variance beta; on some steps of it, or in continuous time, the exact transition between the two times. The
    paper's code discretises the sub-VP equation by Euler's method instead, which is `StochasticEuler` with g^2 as diffusion. The last
    step, to the clean image, adds no noise (the paper's denoising step, appendix G).

    Args:
        grid: The times.
    """

    def __init__(self, grid: Grid):
        self.grid = grid

    def steps(self, walk: Walk) -> Step:
        step = walk.chain.transition(torch.arange(1, len(walk.chain) + 1))
        return _affine(walk, 2 - step.alpha_ts, step.var_ts, step.var_ts.sqrt())


class ReverseFlow(Sampler):
    """x_s = (2 - alpha_ts) x_t + var_ts score / 2: reverse diffusion without noise (Song et al. 2021, appendix D.3, eq. 47).

    The paper's predictor "probability flow". As a solver of that equation it is of first order, and `DDIM` is the better one.

    Args:
        grid: The times.
    """

    def __init__(self, grid: Grid):
        self.grid = grid

    def steps(self, walk: Walk) -> Step:
        step = walk.chain.transition(torch.arange(1, len(walk.chain) + 1))
        return _affine(walk, 2 - step.alpha_ts, step.var_ts / 2, torch.zeros_like(step.var_ts))


class Unmoved(Sampler):
    """x_s = x_t: no predictor, so that all is left to the corrector (the row "corrector only" of Song et al. 2021, table 1).

    Args:
        grid: The times.
    """

    def __init__(self, grid: Grid):
        self.grid = grid

    def steps(self, walk: Walk) -> Step:
        times = walk.chain.times.tolist()

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            return state._replace(t=times[state.step - 1], step=state.step - 1)

        return step


def _affine(
    walk: Walk, of_x: Float64[Tensor, " n"], of_score: Float64[Tensor, " n"], std: Float64[Tensor, " n"]
) -> Step:
    """x_s = of_x x_t + of_score score + std z, with one value of each for each step; no noise in the step that ends at t = 0."""
    times = walk.chain.times.tolist()
    rows = by_step((*(level[1:] for level in walk.chain.level), of_x, of_score, std), walk.like)
    noisy = (std > 0).tolist()

    def step(state: SamplerState, noise: Noise) -> SamplerState:
        i, x = state.step, state.image
        alpha, sigma, *factors = rows[i - 1]
        x_0 = walk.predict(x, state.t).x0
        of_x, of_score, std = (over(factor, x) for factor in factors)
        mean = of_x * x + of_score * score_from_x0(x, x_0, AlphaSigma(alpha, sigma))
        if i > 1 and noisy[i - 1]:
            mean = mean + std * noise.normal("step", tuple(x.shape[1:]), step=i).to(x)
        return SamplerState(mean, times[i - 1], i - 1, x0=x_0)

    return step
