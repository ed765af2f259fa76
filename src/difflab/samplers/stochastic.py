"""Stochastic samplers of flows: any amount of noise on the way, with the marginals of the flow.

    dx = (v - w/2 score) dt + sqrt(w) dW, from t = 1 down to 0,  v = alpha' x_0 + sigma' eps,  score = (alpha x_0 - x) / sigma^2

(Ma et al. 2024, "SiT", eq. 5 and section 2.4; Albergo et al. 2023, "Stochastic Interpolants", arXiv 2303.08797). v and the score both
follow from the denoiser's x_0, so a model that was trained to say any of them will do, and no signal is needed where the walk begins.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from difflab.noise import Noise
from difflab.samplers.along import Time
from difflab.samplers.diffusions import Diffusion
from difflab.samplers.grids import Grid
from difflab.samplers.last_steps import Drift, LastStep
from difflab.samplers.sampler import Sampler, SamplerState, Step, Walk


class Stochastic(Sampler):
    """Base: a subclass says how the equation is solved.

    Args:
        grid: The times; a short last step (`sampler/grid=short_last_step`) is SiT's.
        diffusion: w(t).
        last_step: From the last time above 0 to the image.
    """

    def __init__(self, grid: Grid, diffusion: Diffusion, last_step: LastStep):
        self.grid = grid
        self.diffusion = diffusion
        self.last_step = last_step


class StochasticEuler(Stochastic):
    """Euler and Maruyama's method: x_s = x_t - (t - s) (v - w/2 score) + sqrt(w (t - s)) z; one call of the denoiser a step.

    With w = g^2 (`SBDM`) and the last step's mean (`Mean`) it is Score SDE's, x_s = x_t - (f x_t - g^2 score) (t - s) + g sqrt(t - s) z
    (Song et al. 2021, arXiv 2011.13456, eq. 6). Steps are as wide as they are in the grid; that paper's code takes steps of 1 / N between
    times that lie (1 - eps) / (N - 1) apart. Where g changes a lot within a step, as that of the variance-exploding process does, it takes
    many steps, or reverse diffusion.
    """

    def steps(self, walk: Walk) -> Step:
        drifts, times = planned(walk, self.diffusion), walk.chain.times.tolist()

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            i, x, drift = state.step, state.image, drifts[state.step - 1]
            x_0 = walk.predict(x, state.t).x0
            if i == 1:
                return SamplerState(self.last_step(x, x_0, drift), 0.0, 0, x0=x_0)
            width = times[i] - times[i - 1]
            x = x - width * drift(x, x_0) + added(drift, width, x, noise, i)
            return SamplerState(x, times[i - 1], i - 1, x0=x_0)

        return step


class StochasticHeun(Stochastic):
    """Noise first, x^ = x_t + sqrt(w (t - s)) z, then a step of Heun's from x^ with the drift v - w/2 score at t and at s.

    That of SiT's code: of second order where w is 0, of first order in the noise; two calls of the denoiser a step, and one in the last.
    """

    def steps(self, walk: Walk) -> Step:
        drifts, times = planned(walk, self.diffusion), walk.chain.times.tolist()

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            i, x, drift = state.step, state.image, drifts[state.step - 1]
            if i == 1:
                x_0 = walk.predict(x, state.t).x0
                return SamplerState(self.last_step(x, x_0, drift), 0.0, 0, x0=x_0)
            width = times[i] - times[i - 1]
            x = x + added(drift, width, x, noise, i)
            x_0 = walk.predict(x, state.t).x0
            d = drift(x, x_0)
            ahead = x - width * d
            d_ahead = drifts[i - 2](ahead, walk.predict(ahead, times[i - 1]).x0)
            return SamplerState(x - 0.5 * width * (d + d_ahead), times[i - 1], i - 1, x0=x_0)

        return step


def planned(walk: Walk, diffusion: Diffusion) -> list[Drift]:
    """The drift at each time of the chain above 0, the cleanest first.

    Raises:
        ValueError: The schedule has no rates of change, or the coefficient is infinite somewhere.
    """
    if walk.schedule.steps is not None:
        raise ValueError(
            f"{type(walk.schedule).__name__} is a table of {walk.schedule.steps} steps and has no drift and diffusion: choose a schedule "
            "of continuous time, as schedule=variance_preserving or linear_path, or a sampler that walks down its steps, as sampler=ddpm"
        )
    stages = Time().stages(walk.schedule, walk.chain, Sampler.churn)
    times = walk.chain.times[1:]
    w = diffusion(walk.schedule, times)
    if not torch.isfinite(w).all():
        raise ValueError(
            f"the diffusion coefficient {type(diffusion).__name__} is infinite at t = {float(times[~torch.isfinite(w)][-1]):g}, where "
            f"{type(walk.schedule).__name__} leaves no signal: begin below (sampler/grid=short_last_step sampler.grid.begin=0.999), or "
            "choose another, as sampler/diffusion=noise_scale of stochastic_euler"
        )
    level = walk.chain.level
    columns = torch.stack([level.alpha[1:], level.sigma[1:], w], 1).tolist()
    return [Drift(stage.begin, *row) for stage, row in zip(stages, columns, strict=True)]


def added(drift: Drift, width: float, x: Tensor, noise: Noise, step: int) -> Tensor:
    """The noise of a step, sqrt(w (t - s)) z."""
    return math.sqrt(drift.w * width) * noise.normal("step", tuple(x.shape[1:]), step=step).to(x)
