"""Which times a sampler visits."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.schedules import NoiseSchedule


class Grid(ABC):
    """schedule -> rising times 0 = t_0 < t_1 < ... < t_N of the chain that a sampler walks down."""

    @abstractmethod
    def __call__(self, schedule: NoiseSchedule) -> Float64[Tensor, " n"]:
        """The times; a ValueError if the schedule has too few steps."""


def times_of(steps: list[int], schedule: NoiseSchedule) -> Float64[Tensor, " n"]:
    """The times of the given 0-based steps of a discrete schedule, and the clean end."""
    if schedule.steps is None:
        raise ValueError(f"{type(schedule).__name__} has no numbered steps")
    return torch.tensor([0.0, *((step + 1) / schedule.steps for step in steps)], dtype=torch.float64)
