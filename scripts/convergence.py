"""Measures the orders of convergence of samplers, for the table of docs/samplers.md.

A sampler of order p has an error of about C N^-p in N steps. Measured is the largest difference, over eight pairs of numbers, from the
solution of the probability-flow equation, where everything else is exact: float64, a mixture of Gaussians in the plane whose denoiser is
known, the schedule `variance_preserving`, and N steps of equal width in log-SNR from a noise level of 100 down to one of 0.02. The last
step, from there to the clean image, is not taken: it has its own error, which does not depend on N.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from difflab.data import GaussianMixture
from difflab.noise import ImageNoise
from difflab.samplers import DDIM, Euler, Heun, Multistep, Sampler, Singlestep
from difflab.samplers.grids import Grid, LogSNRGrid
from difflab.samplers.multistep import (
    B2,
    AdamsBashforth,
    AsPublished,
    Clean,
    DPMSolver,
    Eps,
    Growing,
    InLevel,
    InTime,
    Midpoint,
    Polynomial,
    PseudoImprovedEuler,
    PseudoRungeKutta,
    Quantity,
    Rule,
    Taylor,
    UniC,
    UniP,
)
from difflab.samplers.singlestep import EachStep, NoNoise
from difflab.schedules import VariancePreserving
from difflab.types import Condition

LOWEST, HIGHEST = 0.02, 100.0
STEPS = (40, 80, 160, 320)
SCHEDULE = VariancePreserving()
MIXTURE = GaussianMixture.random(components=3, shape=(2,), spread=0.8, std=0.4, seed=1)
NOISE = ImageNoise(0, torch.arange(8))


def multistep(rule: Rule) -> Callable[[Grid], Sampler]:
    return lambda grid: Multistep(grid, rule, Growing())


def singlestep(order: int, quantity: Quantity) -> Callable[[Grid], Sampler]:
    return lambda grid: Singlestep(grid, EachStep(order), quantity, NoNoise())


SAMPLERS: dict[str, tuple[Callable[[Grid], Sampler], float, float]] = {
    "`euler`": (Euler, 1, 1),
    "`ddim`": (DDIM, 1, 1),
    "`heun`": (Heun, 2, 2),
    "`pndm`": (lambda grid: Multistep(grid, AdamsBashforth(4), PseudoRungeKutta()), 2, np.inf),
    "`plms`": (lambda grid: Multistep(grid, AdamsBashforth(4), PseudoImprovedEuler()), 2, np.inf),
    "`ipndm`": (multistep(AdamsBashforth(4)), 2, np.inf),
    "`lms`, `order=3`": (multistep(Polynomial(3, InLevel())), 3, 3),
    "`deis`, `order=2`": (multistep(Polynomial(2, InTime())), 2, 2),
    "`deis`": (multistep(Polynomial(3, InTime())), 3, 3),
    "`dpm_solver`": (multistep(DPMSolver(2, Eps(), Midpoint())), 2, 2),
    "`dpm_solver`, `order=3`": (multistep(DPMSolver(3, Eps(), Midpoint())), 3, 3),
    "`dpm_solver_pp`": (multistep(DPMSolver(2, Clean(), Midpoint())), 2, 2),
    "`dpm_solver_pp`, `order=3`": (multistep(DPMSolver(3, Clean(), Midpoint())), 3, 3),
    "the same, `AsPublished`": (multistep(DPMSolver(3, Clean(), AsPublished(Taylor()))), 2, 2),
    "`unipc`, `corrector=null`": (multistep(UniP(2, Clean(), B2())), 2, 2),
    "`unipc`": (lambda grid: Multistep(grid, UniP(2, Clean(), B2()), Growing(), corrector=UniC(B2())), 3, 3),
    "`unipc`, `order=3`": (lambda grid: Multistep(grid, UniP(3, Clean(), B2()), Growing(), corrector=UniC(B2())), 4, 4),
    "`dpm2`": (singlestep(2, Eps()), 2, 2),
    "`dpm_solver_singlestep`": (singlestep(3, Eps()), 3, 3),
    "`dpm_solver_pp_singlestep`": (singlestep(2, Clean()), 2, 2),
    "`dpm_solver_pp_singlestep`, `order=3`": (singlestep(3, Clean()), 3, 3),
}
"""What is typed -> the sampler on a grid, the least and the largest order that it is held to, each give or take 0.3."""


class Row(NamedTuple):
    """A sampler's measurement.

    Attributes:
        name: What is typed.
        errors: The largest error with each of `STEPS`.
        order: The slope of log error over log N, with its sign turned.
        least: The order that it has to have at least.
        most: The order that it has at most.
    """

    name: str
    errors: list[float]
    order: float
    least: float
    most: float

    def line(self) -> str:
        """It as it stands on the page."""
        return f"| {self.name} | {' | '.join(f'{error:.1e}' for error in self.errors)} | {self.order:.1f} |"

    def is_kept(self) -> bool:
        """Whether the order is what it is held to."""
        return self.least - 0.3 <= self.order <= self.most + 0.3


def solution(x: Tensor, alpha: float, lowest: float) -> Tensor:
    """x / alpha at the lowest level: dx / dlog(rho) = x - x_0 from the highest, to 1e-10.

    Args:
        x: At the highest level, [B, 2].
        alpha: There.
        lowest: rho = sigma / alpha at the end.
    """
    one = torch.ones(len(x), dtype=torch.float64)

    def slope(log_level: float, x: np.ndarray) -> np.ndarray:
        at = torch.from_numpy(x).reshape(-1, 2)
        return (at - MIXTURE.denoise(at, one, one * np.exp(log_level))).numpy().ravel()

    span = (np.log(HIGHEST), np.log(lowest))
    found = solve_ivp(slope, span, (x / alpha).numpy().ravel(), method="DOP853", rtol=1e-10, atol=1e-12)
    return torch.from_numpy(found.y[:, -1]).reshape(-1, 2)


@cache
def _reference() -> tuple[Tensor, Tensor]:
    """Where walks begin, and where they should end."""
    x, times = NOISE.normal("x_T", MIXTURE.shape), LogSNRGrid(1 + STEPS[0], LOWEST, HIGHEST)(SCHEDULE)
    first, last = (SCHEDULE(times[at : at + 1 or None]) for at in (1, -1))
    return x, solution(x, float(last.alpha), float(first.sigma / first.alpha)) * first.alpha


@cache
def measured(name: str) -> Row:
    """The row of a sampler."""
    (make, least, most), (x, exact) = SAMPLERS[name], _reference()
    grids = [LogSNRGrid(n + 1, LOWEST, HIGHEST) for n in STEPS]
    errors = [(walked(make(grid), x) - exact).abs().max().item() for grid in grids]
    return Row(name, errors, float(-np.polyfit(np.log(STEPS), np.log(errors), 1)[0]), least, most)


def walked(sampler: Sampler, x: Tensor) -> Tensor:
    """The images at the lowest level of the grid."""
    walk = sampler.walk(MIXTURE.denoiser(SCHEDULE), SCHEDULE, x, Condition())
    step, state = sampler.steps(walk), walk.start(x)
    while state.step > 1:
        state = step(state, NOISE)
    return state.image


def table() -> str:
    """The rows as they stand on the page."""
    lines = ["| `sampler=` | error, N = 40 | 80 | 160 | 320 | order |", "|---|---|---|---|---|---|"]
    return "\n".join([*lines, *(measured(name).line() for name in SAMPLERS)])
