"""What a noise schedule is, and a chain of times: what a schedule with fewer, other or just its own steps is."""

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
        """Whether its values never change, so that they may be kept. Those of a module follow its weights."""
        return not isinstance(self, nn.Module) or not any(True for _ in chain(self.parameters(), self.buffers()))

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
