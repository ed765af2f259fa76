"""The probability-flow equation, left to a black-box solver."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.noise import Noise
from difflab.samplers.sampler import Sampler, SamplerState, Step, Walk
from difflab.schedules import NoiseSchedule, noise_level, time_of

__all__ = ["Levels", "ProbabilityFlow", "check_method", "solved"]

_POINTS = 4096
"""At which the time of a noise level is looked up; between them it is linear, within a millionth of the level."""


class Levels:
    """Times of noise levels, of which a solver asks in any order: u = log(sigma / alpha) -> t, looked up.

    Args:
        schedule: The model's.
        begin: The lowest level, if the schedule has lower ones; of a table at least that of its first step.
        end: The highest level, if the schedule has higher ones.
        last: The time at which they end.

    Attributes:
        low: log(sigma / alpha) of the lowest level.
        high: That of the highest.
        spread: x_T at `last`, times this, is x / alpha at the highest level: where that lies below, x_T is as much noise as there is at it.
    """

    def __init__(self, schedule: NoiseSchedule, begin: float, end: float, last: float = 1.0):
        first = 0.0 if schedule.steps is None else 1 / schedule.steps
        low, high = noise_level(schedule, torch.tensor([first, last], dtype=torch.float64)).tolist()
        low, high = max(low, begin), min(high, end)
        if not low < high:
            raise ValueError(
                f"{type(schedule).__name__} has no noise levels between {low:.4g} and {high:.4g}, where the probability flow should be "
                "solved: set begin below and end above levels of the schedule"
            )
        self.low, self.high = math.log(low), math.log(high)
        start = torch.hypot(*schedule(torch.tensor([last], dtype=torch.float64)))
        self.spread = math.sqrt(1 + math.exp(2 * self.high)) / float(start.detach())
        self._schedule = schedule

    def time(self, u: float) -> Float64[Tensor, " 1"]:
        """The time of a level, [1]."""
        return torch.tensor([np.interp(u, *self._times)], dtype=torch.float64)

    @cached_property
    def _times(self) -> tuple[np.ndarray, np.ndarray]:
        """Levels and their times, between which others are looked up; found when the first is asked for."""
        u = torch.linspace(self.low, self.high, _POINTS, dtype=torch.float64)
        return u.numpy(), time_of(self._schedule, u.exp()).detach().numpy()


class ProbabilityFlow(Sampler):
    """dx_t / dt = f x_t - g^2 score / 2, solved by scipy with its own steps (Song et al. 2021, arXiv 2011.13456, eq. 13, appendix D.4).

    Solved in y = x_t / alpha_t as a function of u = log(sigma_t / alpha_t), dy / du = y - x_0(alpha y, t), so that any schedule will do,
    a table's levels being interpolated; then what noise is left at the level `begin` is removed by the denoiser, once (the paper's last
    denoising step). Each image is solved by itself, with as many calls of the network as it needs: it does not depend on those beside it.
    There is no grid; tolerance is what `steps` are for other samplers.

    Args:
        tolerance: Relative and absolute, of the solver; the paper has 1e-5.
        method: Of scipy's solve_ivp; the paper has RK45.
        begin: The noise level sigma / alpha at which the solver ends; at least the schedule's first.
        end: The noise level above which x_T is taken for noise alone; at most the schedule's last.
    """

    def __init__(self, tolerance: float = 1e-5, method: str = "RK45", begin: float = 1e-3, end: float = 1e3):
        if tolerance <= 0 or not 0 < begin < end:
            raise ValueError(f"tolerance={tolerance} must be positive, and begin={begin} above 0 and below end={end}")
        check_method(method, "sampler")
        self.tolerance, self.method, self.begin, self.end = tolerance, method, begin, end

    def steps(self, walk: Walk) -> Step:
        levels = Levels(walk.schedule, self.begin, self.end, float(walk.chain.times[-1]))

        def step(state: SamplerState, noise: Noise) -> SamplerState:
            x, t = state.image, float(levels.time(levels.low))
            scale = float(walk.schedule(levels.time(levels.low)).alpha.detach())
            solved = torch.stack([self._solved(walk, levels, levels.spread * x[i].double(), i) for i in range(len(x))])
            x_0 = walk.predict((scale * solved).to(x), t).x0
            return SamplerState(x_0, 0.0, 0, x0=x_0)

        return step

    def _solved(self, walk: Walk, levels: Levels, y: Tensor, number: int) -> Tensor:
        """Y of one image at the lowest level."""
        cond = walk.cond.select([number])

        def slope(u: float, state: np.ndarray) -> np.ndarray:
            t = levels.time(u).to(y.device)
            now = torch.from_numpy(state).reshape(y.shape).to(y)
            x_t = (walk.schedule(t).alpha * now).to(walk.like.dtype)[None]
            return (now - walk.denoise(x_t, t, cond).x0[0].double()).flatten().cpu().numpy()

        return solved(slope, levels.high, levels.low, y, self.method, self.tolerance, "sampler")


def solved(
    slope: Callable[[float, np.ndarray], np.ndarray],
    begin: float,
    end: float,
    y: Tensor,
    method: str,
    tolerance: float,
    name: str,
) -> Tensor:
    """Y at the end of dy / du = slope(u, y), by scipy.

    Args:
        slope: Of plain arrays.
        begin: The first u.
        end: The last one, above or below it.
        y: Where it begins, float64.
        method: Of scipy's solve_ivp.
        tolerance: Relative and absolute.
        name: Of the part whose `tolerance` it is, for the message.

    Raises:
        ValueError: The slope is not finite somewhere, or the solver gave up.
    """
    from scipy.integrate import solve_ivp  # a tenth of a second of import, of which every command would pay

    def checked(u: float, state: np.ndarray) -> np.ndarray:
        rate = slope(u, state)
        if not np.isfinite(rate).all():
            raise ValueError(
                f"what the denoiser says at the noise level {math.exp(u):.4g} is not finite, and no solver gets beyond that: take weights "
                f"from before the divergence, or set {name}.begin and {name}.end to levels that the model knows"
            )
        return rate

    found = solve_ivp(checked, (begin, end), y.flatten().cpu().numpy(), method=method, rtol=tolerance, atol=tolerance)
    if not found.success:
        raise ValueError(
            f"the probability flow of an image could not be solved beyond the noise level {math.exp(found.t[-1]):.4g} "
            f"({found.message.rstrip('.')}): set {name}.tolerance higher"
        )
    return torch.from_numpy(found.y[:, -1].copy()).reshape(y.shape).to(y.device)


def check_method(method: str, name: str) -> None:
    """Checks the name of a solver that takes its own steps."""
    if method not in ("RK45", "RK23", "DOP853", "LSODA"):
        raise ValueError(f"{name}.method={method} is none of RK45, RK23, DOP853 and LSODA")
