"""The likelihood of the probability-flow equation, with a stochastic estimate of its divergence."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from difflab.likelihoods.likelihood import Bits, Likelihood
from difflab.noise import Noise
from difflab.samplers import Sampler
from difflab.samplers.probability_flow import Levels, check_method, solved
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, DenoiseFn

__all__ = ["Gaussian", "ProbabilityFlow", "Probe", "Rademacher"]


class Probe(ABC):
    """Vectors e with E[e e^T] = I: E[e^T J e] is the trace of J (Hutchinson 1990)."""

    @abstractmethod
    def __call__(self, noise: Noise, shape: tuple[int, ...], number: int) -> Tensor:
        """[B, *shape], float64; another draw for each number."""


class Rademacher(Probe):
    """-1 or 1: of all probes the least variance."""

    def __call__(self, noise: Noise, shape: tuple[int, ...], number: int) -> Tensor:
        return 2.0 * (noise.uniform("probe", shape, number) < 0.5).double() - 1


class Gaussian(Probe):
    """Standard normal numbers."""

    def __call__(self, noise: Noise, shape: tuple[int, ...], number: int) -> Tensor:
        return noise.normal("probe", shape, number)


class ProbabilityFlow(Likelihood):
    """log p(x_0) = log p(x_T) + the integral of the divergence along the flow (Song et al. 2021, arXiv 2011.13456, eq. 39, appendix D.2).

    Solved in y = x_t / alpha_t as a function of u = log(sigma_t / alpha_t), so that any schedule will do: dy/du = y - x_0(alpha y, t). The
    divergence D - tr(d x_0 / dy) is estimated with probes that stay the same along the way, and beside that of standard normal data, for
    which it is known. Pixels are dequantised by uniform noise of their width. Each image is solved by itself, by scipy's solver with its
    own steps, so that it does not depend on those beside it.

    Args:
        probe: How the divergence is estimated.
        probes: So many per image, asked in one batch.
        tolerance: Relative and absolute, of the solver; the paper has 1e-5.
        method: Of scipy's solve_ivp; the paper has RK45.
        begin: The noise level sigma / alpha at which an image is taken for one with noise; at least the schedule's first.
        end: The noise level at which nothing is taken to be left of it; at most the schedule's last.
    """

    name = "bits_per_dim_flow"
    label = "bits/dim of the probability flow"
    of_densities = True

    def __init__(
        self,
        probe: Probe,
        probes: int = 1,
        tolerance: float = 1e-5,
        method: str = "RK45",
        begin: float = 1e-3,
        end: float = 1e3,
    ):
        if probes < 1 or tolerance <= 0 or not 0 < begin < end:
            raise ValueError(
                f"probes={probes} must be at least 1, tolerance={tolerance} positive, and begin={begin} above 0 and below end={end}"
            )
        check_method(method, "likelihood")
        self.probe, self.probes = probe, probes
        self.tolerance, self.method, self.begin, self.end = tolerance, method, begin, end

    def times(self, schedule: NoiseSchedule, sampler: Sampler) -> Float64[Tensor, " n"]:
        return torch.zeros(1, dtype=torch.float64)

    def __call__(
        self,
        model: Any,
        denoise: DenoiseFn,
        x_0: Float[Tensor, "b c *size"],
        cond: Condition,
        noise: Noise,
        times: Float64[Tensor, " n"],
        width: float | None,
    ) -> Bits:
        x, shape = x_0.double(), tuple(x_0.shape[1:])
        if width is not None:
            x = x + width * (noise.uniform("dequantisation", shape).to(x) - 0.5)
        probes = torch.stack([self.probe(noise, shape, k) for k in range(self.probes)])
        levels = Levels(model.schedule, self.begin, self.end)
        nats = torch.stack(
            [
                self._log_density(levels, model.schedule, denoise, x[i], probes[:, i], cond.select([i]))
                for i in range(len(x))
            ]
        )
        dimensions = math.prod(shape)
        return Bits(((-nats / dimensions - (0 if width is None else math.log(width))) / math.log(2)).to(x_0.device))

    def _log_density(
        self,
        levels: Levels,
        schedule: NoiseSchedule,
        denoise: DenoiseFn,
        x: Tensor,
        probes: Tensor,
        cond: Condition,
    ) -> Tensor:
        """log p of one image, in nats."""
        size, count = x.numel(), len(probes)
        conds = Condition.cat([cond] * count)
        probes = probes.to(x.device).float()
        excess = size - float(probes.square().sum()) / count

        def slope(u: float, state: np.ndarray) -> np.ndarray:
            t = levels.time(u).to(x.device)
            alpha = float(schedule(t).alpha)
            y = torch.from_numpy(state[:size]).reshape(x.shape).to(x.device)
            with torch.enable_grad():
                x_t = (alpha * y).float().expand(count, *x.shape).clone().requires_grad_()
                x_0 = denoise(x_t, t.expand(count), conds).x0
                (by_x,) = torch.autograd.grad((x_0 * probes).sum(), x_t, materialize_grads=True)
            # e^T (1 - J) e, corrected by what it is too much for normal data, whose 1 - J = s^2 / (1 + s^2) is known
            trace = ((probes - alpha * by_x) * probes).double().sum() / count
            divergence = trace + excess / (1 + math.exp(-2 * u))
            velocity = y - x_0[0].detach().double()
            return np.append(velocity.flatten().cpu().numpy(), float(divergence))

        begin = torch.cat([x.flatten(), x.new_zeros(1)])
        found = solved(slope, levels.low, levels.high, begin, self.method, self.tolerance, "likelihood")
        y, volume = found[:size], float(found[size])
        # x_T = alpha y is normal with variance alpha^2 + sigma^2, as samplers begin
        variance = 1 + math.exp(2 * levels.high)
        prior = -0.5 * (y.square().sum() / variance + size * math.log(2 * math.pi * variance))
        return prior + volume
