"""How training times are drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.noise import Noise
from difflab.schedules import NoiseSchedule, time_of

__all__ = [
    "Antithetic",
    "KnownTimes",
    "LogNormal",
    "LossAware",
    "LossSecondMoment",
    "Stratified",
    "TimeDraw",
    "TimeSampler",
    "Uniform",
]


class TimeDraw(NamedTuple):
    """Drawn times, and the weights that make the mean of weight * loss estimate the mean over uniform times.

    Attributes:
        t: The times, [B].
        weight: The importance weights, [B].
    """

    t: Float64[Tensor, " b"]
    weight: Float64[Tensor, " b"]


class LossAware(ABC):
    """A part of an objective with a state, which changes by the losses of whole optimizer steps alone, and is in the checkpoint.

    Such parts are found wherever an objective holds them, and an objective may be one itself. Whoever runs the optimizer tells them of the
    losses, the same on every process, so that their state does not depend on how the batch was divided.

    Attributes:
        is_loss_aware: Whether `update` wants to be called.
    """

    is_loss_aware: bool

    @abstractmethod
    def update(self, t: Float64[Tensor, " n"], loss: Float64[Tensor, " n"]) -> None:
        """Takes notice of the losses of one optimizer step.

        Args:
            t: The times of the whole global batch, in the order of image numbers, and the same on every process.
            loss: The losses at these times.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Tensor]:
        """What `update` has changed."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continues from what `state_dict` gave."""


class TimeSampler(LossAware):
    """Draws a time for each image of the batch, as a function of the image's number and the sampler's state only."""

    @abstractmethod
    def __call__(self, noise: Noise, schedule: NoiseSchedule) -> TimeDraw:
        """Times for the images of `noise`."""

    @abstractmethod
    def check(self, schedule: NoiseSchedule) -> None:
        """Checks that times of a schedule can be drawn.

        Raises:
            ValueError: They cannot.
        """


class KnownTimes(ABC):
    """What a time sampler is besides, the distribution of whose times is known: that of `quantile(u)` for u ~ U(0, 1)."""

    @abstractmethod
    def quantile(self, u: Float64[Tensor, " b"], schedule: NoiseSchedule) -> TimeDraw:
        """The time that each u in (0, 1) stands for, and its weight; a larger u is no earlier time."""


class EachForItself(TimeSampler, KnownTimes):
    """One that draws the time of each image from a uniform number of its own. Abstract: says by its quantile how times are distributed.

    All such samplers take the same numbers: of models that differ in this alone the same images get early times, or late ones.
    """

    def __call__(self, noise: Noise, schedule: NoiseSchedule) -> TimeDraw:
        return self.quantile(noise.uniform("time"), schedule)


class Unaware(TimeSampler):
    """A sampler that learns nothing from losses. Abstract: says how times are drawn, and of which schedules."""

    is_loss_aware = False

    def update(self, t: Float64[Tensor, " n"], loss: Float64[Tensor, " n"]) -> None:
        return

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        return


class StatelessTimeSampler(Unaware):
    """The same for any schedule. Abstract: says how times are drawn only."""

    def check(self, schedule: NoiseSchedule) -> None:
        return


def unweighted(t: Tensor) -> TimeDraw:
    """Times whose distribution is already the uniform one."""
    return TimeDraw(t, t.new_ones(t.shape))


class Antithetic(StatelessTimeSampler, KnownTimes):
    """Images 2k and 2k + 1 get u and 1 - u with u ~ U(0, 1) (Song et al. 2021, DDIM's training code; antithetic variates)."""

    def __call__(self, noise: Noise, schedule: NoiseSchedule) -> TimeDraw:
        u = noise.shared(2).uniform("time")
        return self.quantile(torch.where(noise.number % 2 == 0, u, 1 - u), schedule)

    def quantile(self, u: Float64[Tensor, " b"], schedule: NoiseSchedule) -> TimeDraw:
        return unweighted(schedule.time(u))


class LogNormal(EachForItself, StatelessTimeSampler):
    """ln(sigma_t / alpha_t) ~ N(mean, std^2) (Karras et al. 2022, section 5 and table 1: P_mean, P_std).

    The normal variable is made of the uniform one that other samplers take: models that differ in this alone have small noise, or large, on
    the same images. Nothing undoes the distribution in the loss, it is a part of the method. A level that the schedule does not have
    becomes its nearest.

    Args:
        mean: Mean of the logarithm.
        std: Standard deviation of the logarithm.
    """

    def __init__(self, mean: float = -1.2, std: float = 1.2):
        if std <= 0:
            raise ValueError(f"std = {std} must be positive")
        self.mean = mean
        self.std = std

    def quantile(self, u: Float64[Tensor, " b"], schedule: NoiseSchedule) -> TimeDraw:
        level = torch.exp(self.mean + self.std * torch.special.ndtri(u))
        return unweighted(time_of(schedule, level))


class LossSecondMoment(EachForItself):
    """p_t proportional to sqrt(E[L_t^2]) over the last losses of step t, mixed with a little of the uniform distribution.

    Nichol and Dhariwal 2021, section 3.3: the distribution that minimises the variance of the estimated bound. Until every step has a full
    history, times are uniform. The weight is 1 / (T p_t). The history is where the losses are: a copy to the host in every step would make
    it wait for a GPU.

    Args:
        steps: T of the (discrete) schedule.
        history: How many losses are kept per step.
        uniform_share: Probability of a uniform draw.
    """

    is_loss_aware = True

    def __init__(self, steps: int, history: int = 10, uniform_share: float = 0.001):
        if not 0 <= uniform_share <= 1:
            raise ValueError(f"uniform_share = {uniform_share} is not a probability")
        if steps < 1 or history < 1:
            raise ValueError(f"a history needs at least one step and one loss per step, not {steps} and {history}")
        self.steps = steps
        self.uniform_share = uniform_share
        self.losses = torch.zeros(steps, history, dtype=torch.float64)
        self.counts = torch.zeros(steps, dtype=torch.int64)

    def probabilities(self) -> Float64[Tensor, " n"]:
        """The probabilities p over the T steps."""
        full = (self.counts >= self.losses.shape[1]).all()
        size = (self.losses**2).mean(dim=1).sqrt()
        p = (1 - self.uniform_share) * size / size.sum() + self.uniform_share / self.steps
        return torch.where(full, p, 1 / self.steps)

    def quantile(self, u: Float64[Tensor, " b"], schedule: NoiseSchedule) -> TimeDraw:
        self._move(u.device)
        p = self.probabilities()
        cumulative = torch.cumsum(p, 0)
        step = torch.searchsorted(cumulative / cumulative[-1], u, right=True).clamp(max=self.steps - 1)
        return TimeDraw((step + 1).double() / self.steps, 1 / (self.steps * p[step]))

    def update(self, t: Float64[Tensor, " n"], loss: Float64[Tensor, " n"]) -> None:
        self._move(t.device)
        kept = self.losses.shape[1]
        step = (t * self.steps).round().long() - 1
        new = torch.zeros_like(self.counts).index_add_(0, step, torch.ones_like(step))
        forgotten = (self.counts + new - kept).clamp(min=0)
        columns = torch.arange(kept, device=t.device) + forgotten[:, None]
        older = self.losses.gather(1, columns.clamp(max=kept - 1))
        order = torch.argsort(step, stable=True)
        row = step[order]
        place = torch.arange(len(row), device=t.device) - torch.searchsorted(row, row)  # among the new ones of its step
        # where more come than are kept, the first of them go into a column that is thrown away
        column = (self.counts[row] + place - forgotten[row]).clamp(min=-1) + 1
        table = torch.cat([torch.zeros_like(older[:, :1]), older], dim=1)
        table[row, column] = loss[order]
        self.losses, self.counts = table[:, 1:].clone(), self.counts + new - forgotten

    def state_dict(self) -> dict[str, Tensor]:
        return {"losses": self.losses.cpu(), "counts": self.counts.cpu()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        if state["losses"].shape != self.losses.shape:
            raise ValueError(
                f"the time sampler keeps a history of {self.steps} steps and {self.losses.shape[1]} losses each, but that of the "
                f"checkpoint is of {state['losses'].shape[0]} and {state['losses'].shape[1]}"
            )
        self.losses, self.counts = state["losses"].clone(), state["counts"].clone()

    def check(self, schedule: NoiseSchedule) -> None:
        if schedule.steps != self.steps:
            raise ValueError(
                f"the loss-second-moment time sampler keeps a history of {self.steps} steps, but the schedule has "
                f"{schedule.steps or 'no steps (continuous time)'}: set its steps to the schedule's, or use another time sampler"
            )

    def _move(self, device: torch.device) -> None:
        self.losses, self.counts = self.losses.to(device), self.counts.to(device)


class Stratified(StatelessTimeSampler, KnownTimes):
    """t_j = frac(u + j / B) for the j-th image of the global batch and one u ~ U(0, 1) per batch.

    Kingma et al. 2021, "Variational Diffusion Models", appendix I.1: the same distribution for each image, a smaller variance of the
    batch's mean loss.

    Args:
        batch_size: B, the global batch.
    """

    def __init__(self, batch_size: int):
        self.batch_size = batch_size

    def __call__(self, noise: Noise, schedule: NoiseSchedule) -> TimeDraw:
        place = (noise.number % self.batch_size).double() / self.batch_size
        return self.quantile((noise.shared(self.batch_size).uniform("time") + place) % 1, schedule)

    def quantile(self, u: Float64[Tensor, " b"], schedule: NoiseSchedule) -> TimeDraw:
        return unweighted(schedule.time(u))


class Uniform(EachForItself, StatelessTimeSampler):
    """t ~ U(0, 1), each image for itself (Ho et al. 2020, algorithm 1)."""

    def quantile(self, u: Float64[Tensor, " b"], schedule: NoiseSchedule) -> TimeDraw:
        return unweighted(schedule.time(u))
