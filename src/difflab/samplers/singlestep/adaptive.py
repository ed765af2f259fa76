"""DPM-Solver that chooses the width of its own steps."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.noise import Noise
from difflab.process import over
from difflab.samplers.probability_flow import Levels
from difflab.samplers.sampler import Sampler, SamplerState, Step, Walk
from difflab.schedules import time_of

__all__ = ["AdaptiveDPMSolver"]

MOST = 5000
"""Steps, taken or not, after which the solver gives up: it needs some hundreds for a tolerance of 1e-6, near which float32 rounds."""


class AdaptiveDPMSolver(Sampler):
    """DPM-Solver-12 and -23: two steps of neighbouring order in eps, whose difference says how wide the next may be.

    Lu et al. 2022, arXiv 2206.00927, appendix C. With x = x_t / alpha_t, x_high of order k, x_low of order k - 1 from the same evaluations,

        e = | (x_low - x_high) / max(atol, rtol max(|x_low|, |x_before|)) |,  the root mean square over the image
        factor = 1 + atan(e^(-1/k) - 1);  the step is taken if factor >= 0.81, and h becomes factor h    (k-diffusion's controller)

    The peers have one h for a batch and average or take the worst e. Here every image has its own h and its own times, so it does not
    depend on its batch mates; the batch is asked until the last image has arrived, and the host waits for the device once a step to know.
    There is no grid. What noise is left at the level `begin` is removed by the denoiser.

    Args:
        order: 2 or 3, k: DPM-Solver-12 or -23.
        rtol: Relative tolerance.
        atol: Absolute tolerance, of data in [-1, 1]: two grey levels.
        begin: The noise level sigma / alpha at which the solver ends; at least the schedule's first.
        end: The noise level above which x_T is taken for noise alone; at most the schedule's last.
    """

    def __init__(
        self, order: int = 3, rtol: float = 0.05, atol: float = 0.0078, begin: float = 0.002, end: float = 80.0
    ):
        if order not in (2, 3):
            raise ValueError(f"adaptive solvers compare orders 1 and 2, or 2 and 3: order = {order} must be 2 or 3")
        if not (rtol > 0 and atol > 0 and 0 < begin < end):
            raise ValueError(
                f"rtol={rtol} and atol={atol} must be positive, and begin={begin} above 0 and below end={end}"
            )
        self.order, self.rtol, self.atol, self.begin, self.end = order, rtol, atol, begin, end

    def steps(self, walk: Walk) -> Step:
        levels = Levels(walk.schedule, self.begin, self.end, float(walk.chain.times[-1]))

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            x = self._solved(walk, levels.spread * state.image, -levels.high, -levels.low)
            x_0 = self._eps(walk, x, torch.full((len(x),), -levels.low, dtype=torch.float64, device=x.device))[1]
            return SamplerState(x_0, 0.0, 0, x0=x_0)

        return step

    def _solved(self, walk: Walk, x: Tensor, begin: float, end: float) -> Tensor:
        """x_t / alpha_t at lambda = end, from that at lambda = begin."""
        at = torch.full((len(x),), begin, dtype=torch.float64, device=x.device)
        h, before = torch.full_like(at, 0.05), x
        going, tried = begin < end, 0
        while going:
            to = torch.minimum(at + h, torch.full_like(at, end))
            low, high = self._tried(walk, x, at, to)
            allowed = (self.rtol * torch.maximum(low.abs(), before.abs())).clamp(min=self.atol)
            error = ((low - high) / allowed).double().square().flatten(1).mean(1).sqrt()
            factor = 1 + torch.atan((error + 1e-8) ** (-1 / self.order) - 1)
            taken = (factor >= 0.81) & (at < end)
            wide = taken.reshape(-1, *[1] * (x.ndim - 1))
            before, x = torch.where(wide, low, before), torch.where(wide, high, x)
            at = torch.where(taken, to, at)
            h = h * factor
            tried += 1
            going, finite = torch.stack([(at < end).any(), error.isfinite().all()]).tolist()
            if not finite:
                raise ValueError(
                    "the denoiser's predictions are not finite, so no step of the adaptive solver is narrow enough: look at the model, or "
                    "use a sampler with a grid"
                )
            if going and tried == MOST:
                raise ValueError(
                    f"{MOST:,} steps of the adaptive solver lead no further than the noise level {math.exp(-float(at.min())):.4g}: set "
                    f"sampler.rtol={self.rtol:g} and sampler.atol={self.atol:g} higher"
                )
        return x

    def _tried(
        self, walk: Walk, x: Tensor, begin: Float64[Tensor, " b"], end: Float64[Tensor, " b"]
    ) -> tuple[Tensor, Tensor]:
        """The steps of the lower and of the higher order, from one lambda to another."""
        h, rho = end - begin, torch.exp(-end)
        eps, _ = self._eps(walk, x, begin)
        ratio = 1 / self.order
        node = begin + ratio * h
        change = self._eps(walk, x - over(torch.exp(-node) * torch.expm1(ratio * h), x) * eps, node)[0] - eps
        whole = torch.expm1(h)
        first = x - over(rho * whole, x) * eps
        second = first - over(rho * whole / (2 * ratio), x) * change
        if self.order == 2:
            return first, second
        node, width = begin + 2 / 3 * h, 2 / 3 * h
        there = (
            x
            - over(torch.exp(-node) * torch.expm1(width), x) * eps
            - over(2 * torch.exp(-node) * phi(width), x) * change
        )
        change = self._eps(walk, there, node)[0] - eps
        return second, first - over(1.5 * rho * phi(h), x) * change

    def _eps(self, walk: Walk, x: Tensor, lam: Float64[Tensor, " b"]) -> tuple[Tensor, Tensor]:
        """Eps and x_0 that are predicted in x_t / alpha_t, each image at a lambda of its own."""
        rho = torch.exp(-lam)
        t = time_of(walk.schedule, rho)
        x_0 = walk.denoise(over(walk.schedule(t).alpha, x) * x, t, walk.cond).x0
        return (x - x_0) / over(rho, x), x_0


def phi(h: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
    """(e^h - 1) / h - 1, by its series where it would cancel."""
    small = h / 2 * (1 + h / 3 * (1 + h / 4 * (1 + h / 5)))
    return torch.where(h.abs() < 1e-3, small, torch.expm1(h) / h - 1)
