r"""Numbers of a row: scales and log-SNR over t, the density of training times, and what a loss weighs.

Over the log-SNR lambda = log(alpha^2 / sigma^2) every schedule, parameterization, weighting and way of drawing times is one function of
lambda: the effective weight (Kingma and Gao 2023, arXiv 2303.00848, eq. 4 and table 1). Where times are drawn with the density p(lambda),
and a time counts as omega |x_0 - x_0^|^2, which is omega exp(-lambda) |eps - eps^|^2,

    E_p[omega |x_0 - x_0^|^2] = 1/2 int w(lambda) E|eps - eps^|^2 d lambda,    w(lambda) = 2 p(lambda) omega exp(-lambda)

The variational bound has w = 1, in nats and with the sum over dimensions. All errors here are means over pixels, and the bound is in bits:
its w is 1 / ln 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.explaining.row import Row
from difflab.objectives import SquaredError
from difflab.objectives.time_samplers import KnownTimes
from difflab.process import snr
from difflab.schedules import NoiseSchedule, own_chain

POINTS = 400
"""Of a curve over t in continuous time; a discrete schedule has those of its steps, or fewer."""

DRAWS = 4000
"""Of a time sampler in continuous time: the quantiles that stand for its distribution."""


@dataclass(frozen=True)
class Curve:
    """Points of a curve, in the order of their x; all of them are finite.

    Attributes:
        x: Time, or log-SNR.
        y: Value.
    """

    x: Float64[Tensor, " n"]
    y: Float64[Tensor, " n"]

    @classmethod
    def of(cls, x: Float64[Tensor, " n"], y: Float64[Tensor, " n"]) -> Curve:
        """Those of the points that are finite, in order."""
        kept = x.isfinite() & y.isfinite()
        order = torch.argsort(x[kept], stable=True)
        return cls(x[kept][order], y[kept][order])

    def thinned(self, most: int = POINTS) -> Curve:
        """At most so many of its points."""
        if len(self.x) <= most:
            return self
        kept = torch.linspace(0, len(self.x) - 1, most).round().long()
        return Curve(self.x[kept], self.y[kept])


def times(schedule: NoiseSchedule) -> Float64[Tensor, " n"]:
    """From 0 to 1: each step of a discrete schedule; of one in continuous time equally many."""
    steps = schedule.steps or POINTS
    return torch.arange(steps + 1, dtype=torch.float64) / steps


@torch.no_grad()
def log_snr(schedule: NoiseSchedule, t: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
    """log(alpha^2 / sigma^2); infinite where there is no noise, or no signal."""
    return torch.log(snr(schedule(t)))


@torch.no_grad()
def betas(schedule: NoiseSchedule) -> Curve | None:
    """The variance that each step of a discrete schedule adds, at the time at its end; None in continuous time."""
    if schedule.steps is None:
        return None
    chain = own_chain(schedule)
    return Curve.of(chain.times[1:], chain.transition(torch.arange(1, len(chain) + 1)).var_ts)


@dataclass(frozen=True)
class Drawn:
    """Training times as a distribution over log-SNR, in cells.

    Attributes:
        t: The time that stands for each cell.
        log_snr: That of this time.
        density: Share of the draws per unit of log-SNR.
        importance: The weight by which the sampler corrects its draws.
    """

    t: Float64[Tensor, " n"]
    log_snr: Float64[Tensor, " n"]
    density: Float64[Tensor, " n"]
    importance: Float64[Tensor, " n"]


@torch.no_grad()
def drawn_times(row: Row) -> Drawn | None:
    """The distribution of training times; None where the objective does not say it.

    A discrete time is as wide as the halves of the ways to its neighbours. Of one in continuous time as many quantiles stand for all.
    """
    sampler = row.objective.time_sampler if isinstance(row.objective, SquaredError) else None
    if not isinstance(sampler, KnownTimes):
        return None
    count = (row.schedule.steps or 1) * math.ceil(DRAWS / (row.schedule.steps or 1))
    u = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    draw = sampler.quantile(u, row.schedule)
    t, place, share = torch.unique_consecutive(draw.t, return_inverse=True, return_counts=True)
    importance = torch.zeros_like(t).index_add_(0, place, draw.weight) / share
    level = log_snr(row.schedule, t)
    kept = level.isfinite()
    t, level, share, importance = t[kept], level[kept], share[kept].double() / count, importance[kept]
    if len(t) < 2:
        return None
    between = (level[1:] + level[:-1]) / 2
    edges = torch.cat([2 * level[:1] - between[:1], between, 2 * level[-1:] - between[-1:]])
    return Drawn(t, level, share / edges.diff().abs(), importance)


@torch.no_grad()
def effective_weight(row: Row, drawn: Drawn | None) -> Curve | None:
    """w over log-SNR, of errors that are means over pixels; None where the objective, or the parameterization, is not known."""
    objective, parameterization = row.objective, row.parameterization
    if drawn is None or parameterization is None or not isinstance(objective, SquaredError):
        return None
    alpha, sigma = row.schedule(drawn.t)
    c_out = parameterization(drawn.t, alpha, sigma, row.schedule.network_time(drawn.t)).c_out
    try:
        omega = objective.x0_weight(row.schedule, drawn.t, c_out)
    except ValueError as error:  # a bound over steps, of a schedule that has none
        row.notes.append(f"no weight: {error}")
        return None
    weight = 2 * drawn.density * drawn.importance * omega * torch.exp(-drawn.log_snr)
    return Curve.of(drawn.log_snr, weight)
