"""What a noise schedule is: alpha(t) and sigma(t), and the levels of noise that they reach."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from itertools import chain

import torch
from jaxtyping import Float64, Int
from torch import Tensor, nn

from difflab.process import Transition, transition
from difflab.types import AlphaSigma


class NoiseSchedule(ABC):
    """t in [0, 1] -> (alpha_t, sigma_t); the log-SNR log(alpha^2 / sigma^2) falls with t.

    One that learns is a module besides, `class Learned(nn.Module, NoiseSchedule)`: the model that has it then trains its weights, averages
    and saves them with its own. Its values are computed anew whenever they are asked for, on the device of t.

    Attributes:
        steps: The number of steps of a discrete schedule; None for one in continuous time.
        endless: Whether levels go on beyond t = 1: the same formula then holds at times above 1, where a sampler with churn may go (Karras
            et al. 2022, algorithm 2, which knows no largest level). False for a table, and for one that is defined on [0, 1] alone.
    """

    steps: int | None
    endless: bool = False

    @property
    def is_fixed(self) -> bool:
        """Whether its values never change, so that they may be kept. Those of a module follow its weights, and those of what it holds."""
        if isinstance(self, nn.Module):
            return not any(True for _ in chain(self.parameters(), self.buffers()))
        return all(part.is_fixed for part in vars(self).values() if isinstance(part, NoiseSchedule))

    @abstractmethod
    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        """Signal and noise scale at times t."""

    @abstractmethod
    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        """The number by which the network is told of the time t: the papers' 0-based step number for a discrete schedule."""

    @abstractmethod
    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        """The training time that a uniform u in (0, 1) stands for: u itself, or the step into whose 1/T-th part it falls."""


CPU = torch.device("cpu")


class Chain:
    """0 = t_0 < t_1 < ... < t_N and the transitions between neighbours. Step i = 1 .. N goes between t_{i-1} and t_i.

    The betas, posteriors and the bound of a respaced process (Nichol and Dhariwal 2021, section 4) all follow from (alpha, sigma) at these
    times. The first step ends at the exactly clean image, alpha = 1 and sigma = 0, also where a continuous schedule keeps a rest of noise
    at t = 0.

    Args:
        schedule: Gives alpha and sigma.
        times: t_0 .. t_N, from 0 to at most 1.
    """

    def __init__(self, schedule: NoiseSchedule, times: Float64[Tensor, " n"]):
        if len(times) < 2 or times[0] != 0 or not (times.diff() > 0).all() or times[-1] > 1:
            raise ValueError(f"a chain needs rising times from 0 to at most 1, not {times.tolist()}")
        alpha, sigma = (value.clone() for value in schedule(times))
        alpha[0], sigma[0] = 1.0, 0.0
        self.times = times
        self.level = AlphaSigma(alpha, sigma)
        self._floor = transition(self[1], self[2]).posterior_var if len(self) > 1 else None

    def __len__(self) -> int:
        """The number of steps, N."""
        return len(self.times) - 1

    def __getitem__(self, i: int | Tensor) -> AlphaSigma:
        return AlphaSigma(self.level.alpha[i], self.level.sigma[i])

    def transition(self, i: Int[Tensor, " b"]) -> Transition:
        """The transitions of steps i."""
        return transition(self[i - 1], self[i], self._floor)

    def index(self, t: Float64[Tensor, " b"]) -> Int[Tensor, " b"]:
        """The step whose upper end is the time t."""
        return torch.searchsorted(self.times, t - 1e-9)

    def to(self, device: torch.device) -> Chain:
        moved = object.__new__(Chain)
        moved.times = self.times.to(device)
        moved.level = AlphaSigma(*(value.to(device) for value in self.level))
        moved._floor = None if self._floor is None else self._floor.to(device)
        return moved


def own_chain(schedule: NoiseSchedule, device: torch.device = CPU) -> Chain:
    """The chain of all steps of a discrete schedule. That of a fixed schedule is kept, that of one which learns follows its weights."""
    return _kept(schedule, device) if schedule.is_fixed else _all_steps(schedule, device)


def _all_steps(schedule: NoiseSchedule, device: torch.device) -> Chain:
    if schedule.steps is None:
        raise ValueError(
            f"{type(schedule).__name__} has no steps of its own, and the bound on the likelihood is a sum over steps: use a "
            "discrete schedule (schedule=cosine, schedule=linear ...)"
        )
    return Chain(schedule, torch.arange(schedule.steps + 1, dtype=torch.float64) / schedule.steps).to(device)


_kept = lru_cache(maxsize=16)(_all_steps)


def rates(schedule: NoiseSchedule, t: Float64[Tensor, " n"]) -> tuple[Float64[Tensor, " n"], Float64[Tensor, " n"]]:
    """The derivatives of alpha and sigma by time, [B] each: those of the schedule's own formulas, at times of continuous schedules."""
    with torch.enable_grad():
        leaf = t.detach().clone().requires_grad_()
        level = schedule(leaf)
        found = [
            torch.autograd.grad(value.sum(), leaf, retain_graph=True, materialize_grads=True)[0]
            if value.requires_grad
            else torch.zeros_like(t)
            for value in level
        ]
    return found[0].detach(), found[1].detach()


_SECTIONS = 16
_ROUNDS = 14  # 16^14 = 2^56 parts of [0, 1]: as fine as float64 is above t = 1/8


def noise_level(schedule: NoiseSchedule, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
    """The noise level sigma_t / alpha_t, [B].

    It is the sigma of Karras et al. 2022, who write every process as x_0 + sigma eps, scaled (table 1, s(t) = alpha_t).
    """
    alpha, sigma = schedule(t)
    return sigma / alpha


def time_of(schedule: NoiseSchedule, level: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
    """The time at which sigma_t / alpha_t is `level`; 0 and 1 for levels below and above all of the schedule's.

    Found by cutting [0, 1] into 16 parts 14 times, since the level rises with t in every schedule: fewer and larger operations than halves
    would take, and none that makes a GPU wait.
    """
    level = level.double()
    low = _searched(schedule, level, 0.0, 1.0)
    above = level >= noise_level(schedule, torch.ones_like(level))
    return torch.where(above, torch.ones_like(low), low)


def time_beyond(schedule: NoiseSchedule, level: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
    """The time from 1 on at which sigma_t / alpha_t is `level`, none of which is below the schedule's end; 1 if it is not endless."""
    level = level.double()
    if not schedule.endless:
        return torch.ones_like(level)
    width, highest = 1.0, level.max()
    while noise_level(schedule, torch.tensor([1.0 + width], dtype=torch.float64)) < highest:
        width *= 2
    return _searched(schedule, level, 1.0, width)


def _searched(
    schedule: NoiseSchedule, level: Float64[Tensor, " b"], start: float, width: float
) -> Float64[Tensor, " b"]:
    """The last time of [start, start + width) whose level is not above the wanted one."""
    parts = torch.arange(1, _SECTIONS, device=level.device).double() / _SECTIONS
    low = torch.full_like(level, start)
    for _ in range(_ROUNDS):
        t = low[:, None] + width * parts
        below = noise_level(schedule, t.flatten()).reshape(t.shape) <= level[:, None]
        width /= _SECTIONS
        low = low + below.sum(1) * width
    return low
