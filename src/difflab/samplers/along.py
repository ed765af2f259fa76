"""In what a solver of the probability-flow equation takes its steps: the noise level, or time itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from difflab.noise import Noise
from difflab.samplers.churn import Churn
from difflab.schedules import Chain, NoiseSchedule, rates

__all__ = ["Along", "NoiseLevel", "Point", "Stage", "Time"]


@dataclass(frozen=True)
class Point(ABC):
    """Where the slope of the equation is asked for; plain numbers, so that no GPU is waited for.

    Attributes:
        time: Its time.
        scale: By what the image is divided there.
        at: The value of the variable in which steps are taken.
    """

    time: float
    scale: float
    at: float

    @abstractmethod
    def slope(self, x: Tensor, x_0: Tensor) -> Tensor:
        """How x, the image divided by `scale`, changes with the variable.

        Args:
            x: [B, C, *size].
            x_0: What the denoiser says of it.
        """


@dataclass(frozen=True)
class Stage:
    """A step of a solver.

    Attributes:
        step: Its number, N .. 1.
        scale: By what the image is divided when it arrives.
        added: Standard deviation of the noise that is added first; 0 for none.
        begin: Where it starts, with that noise.
        end: Where it ends.
        reached: Time of the chain there.
    """

    step: int
    scale: float
    added: float
    begin: Point
    end: Point
    reached: float

    @property
    def width(self) -> float:
        """Of the step, in the variable; negative."""
        return self.end.at - self.begin.at

    def raised(self, x: Tensor, noise: Noise) -> Tensor:
        """The images x [B, C, *size] with the noise that is added first."""
        return x + self.added * noise.normal("step", tuple(x.shape[1:]), step=self.step).to(x) if self.added else x


class Along(ABC):
    """The variable of a solver, and the image as a function of it."""

    @abstractmethod
    def stages(self, schedule: NoiseSchedule, chain: Chain, churn: Churn) -> list[Stage]:
        """The steps of a chain, the cleanest first.

        Args:
            schedule: The model's.
            chain: The times to be visited.
            churn: Noise that is added on the way.

        Raises:
            ValueError: They cannot be taken.
        """


class LevelPoint(Point):
    """dx / dsigma = (x - x_0) / sigma (Karras et al. 2022, eq. 1 and 3)."""

    def slope(self, x: Tensor, x_0: Tensor) -> Tensor:
        return (x - x_0) / self.at


class NoiseLevel(Along):
    """x = x_t / alpha_t as a function of sigma_t / alpha_t: any schedule is then EDM's, and only its levels matter.

    The level has to be finite where the grid begins.
    """

    def stages(self, schedule: NoiseSchedule, chain: Chain, churn: Churn) -> list[Stage]:
        level = chain.level.sigma / chain.level.alpha
        if not level.isfinite().all():
            raise ValueError(
                "the sampler walks along noise levels sigma / alpha, and the schedule leaves no signal where the grid begins: use "
                "sampler/grid=karras, which begins at sigma_max, or sampler/along=time, or sampler=ddim or ddpm"
            )
        raised, time = churn.raised(schedule, chain, level)
        alpha = torch.where(raised > level, schedule(time).alpha, chain.level.alpha)
        added = churn.s_noise * (raised**2 - level**2).clamp(min=0).sqrt()
        start = torch.stack([chain.level.alpha, added, time, alpha, raised], 1).tolist()
        ends = [LevelPoint(*end) for end in torch.stack([chain.times, chain.level.alpha, level], 1).tolist()]
        return [
            Stage(i, start[i][0], start[i][1], LevelPoint(*start[i][2:]), ends[i - 1], ends[i - 1].time)
            for i in range(1, len(chain) + 1)
        ]


@dataclass(frozen=True)
class TimePoint(Point):
    """dx_t / dt = (sigma' / sigma) x_t + (alpha' - alpha sigma' / sigma) x_0, both factors worked out.

    Attributes:
        of_x: The first factor.
        of_x0: The second one.
    """

    of_x: float
    of_x0: float

    def slope(self, x: Tensor, x_0: Tensor) -> Tensor:
        return self.of_x * x + self.of_x0 * x_0


class Time(Along):
    """x_t itself as a function of t: dx_t / dt = alpha' x_0 + sigma' eps, with eps = (x_t - alpha x_0) / sigma.

    The equation of flows (Lipman et al. 2023, "Flow Matching", eq. 13; Liu et al. 2023, "Flow Straight and Fast", eq. 1, for alpha = 1 - t
    and sigma = t, whose Euler steps go straight to x_0). It needs no signal where the grid begins: alpha = 0 at t = 1 will do. The rates
    alpha' and sigma' are derivatives of the schedule's own formulas; a table of steps has none.
    """

    def stages(self, schedule: NoiseSchedule, chain: Chain, churn: Churn) -> list[Stage]:
        if schedule.steps is not None:
            raise ValueError(
                "steps in t need the rates of change of alpha and sigma, and "
                f"{type(schedule).__name__} is a table of {schedule.steps} steps: walk along the noise level (leave sampler/along out), "
                "or choose a schedule of continuous time"
            )
        if churn.s_churn:
            raise ValueError(
                f"s_churn={churn.s_churn:g} raises the noise level, which steps in t do not walk along: set sampler.s_churn=0"
            )
        times, alpha, sigma = chain.times[1:], chain.level.alpha[1:], chain.level.sigma[1:]
        alpha_rate, sigma_rate = rates(schedule, times)
        of_x = sigma_rate / sigma
        columns = torch.stack([times, torch.ones_like(times), times, of_x, alpha_rate - alpha * of_x], 1)
        if not columns.isfinite().all():
            raise ValueError(
                f"alpha or sigma of {type(schedule).__name__} changes infinitely fast at a time of the grid: no step in t is taken there"
            )
        points = [TimePoint(0.0, 1.0, 0.0, 0.0, 0.0), *(TimePoint(*row) for row in columns.tolist())]
        return [Stage(i, 1.0, 0.0, points[i], points[i - 1], points[i - 1].time) for i in range(1, len(points))]


NOISE_LEVEL = NoiseLevel()
"""What solvers walk along if nothing is said."""
