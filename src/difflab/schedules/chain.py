"""A chain of times: what a schedule with fewer, other or just its own steps is. Respacing is nothing but this."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from difflab.process import Transition, transition
from difflab.schedules.schedule import NoiseSchedule
from difflab.types import AlphaSigma

CPU = torch.device("cpu")


class Chain:
    """0 = t_0 < t_1 < ... < t_N and the transitions between neighbours. Step i = 1 .. N goes between t_{i-1} and t_i.

    The betas, posteriors and the bound of a respaced process (Nichol and Dhariwal 2021, section 4) all follow from (alpha, sigma)
    at these times. The first step ends at the exactly clean image, alpha = 1 and sigma = 0, also where a continuous schedule keeps
    a rest of noise at t = 0.
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
        """N, the number of steps."""
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
