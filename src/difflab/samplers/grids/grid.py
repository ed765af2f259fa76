"""What a grid is: the times that a sampler visits."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.schedules import NoiseSchedule, time_of


class Grid(ABC):
    """Schedule -> rising times 0 = t_0 < t_1 < ... < t_N of the chain that a sampler walks down.

    Grids in noise levels ask for levels between the rows of a table as well. Time, alpha and sigma are then those between two steps, and
    the network is told the number in between, as k-diffusion, diffusers and DPM-Solver's authors do: it embeds numbers, and 417.3 is as
    near to what it was trained on as 417. Told of the nearest step, it would take the noise of an image for another than it is.
    """

    @abstractmethod
    def __call__(self, schedule: NoiseSchedule) -> Float64[Tensor, " n"]:
        """The times.

        Raises:
            ValueError: The schedule has too few steps.
        """


def times_of(steps: list[int], schedule: NoiseSchedule) -> Float64[Tensor, " n"]:
    """The times of the given 0-based steps of a discrete schedule, and the clean end."""
    if schedule.steps is None:
        raise ValueError(f"{type(schedule).__name__} has no numbered steps")
    return torch.tensor([0.0, *((step + 1) / schedule.steps for step in steps)], dtype=torch.float64)


def times_at(schedule: NoiseSchedule, levels: Float64[Tensor, " n"]) -> Float64[Tensor, " m"]:
    """The clean end, and the times of rising levels sigma / alpha."""
    return torch.cat([torch.zeros(1, dtype=torch.float64), time_of(schedule, levels)])
