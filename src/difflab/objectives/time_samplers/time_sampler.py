"""How training times are drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from jaxtyping import Float64
from torch import Tensor

from difflab.noise import Noise
from difflab.schedules import NoiseSchedule


class TimeDraw(NamedTuple):
    """t [B], and the importance weight [B] that makes the mean of weight * loss estimate the mean over uniform times."""

    t: Float64[Tensor, " b"]
    weight: Float64[Tensor, " b"]


class TimeSampler(ABC):
    """Draws a time for each image of the batch, as a function of the image's number and the sampler's state only.

    is_loss_aware   whether `update` wants to be called
    """

    is_loss_aware: bool

    @abstractmethod
    def __call__(self, noise: Noise, schedule: NoiseSchedule) -> TimeDraw:
        """Times for the images of `noise`."""

    @abstractmethod
    def update(self, t: Float64[Tensor, " n"], loss: Float64[Tensor, " n"]) -> None:
        """Takes notice of the losses of one optimizer step: those of the whole global batch, in the order of image numbers, and
        the same on every process."""

    @abstractmethod
    def state_dict(self) -> dict[str, Tensor]:
        """What `update` has changed."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continues from what `state_dict` gave."""

    @abstractmethod
    def check(self, schedule: NoiseSchedule) -> None:
        """Raises a ValueError if times of this schedule cannot be drawn."""


class StatelessTimeSampler(TimeSampler):
    """A sampler that learns nothing from losses. Abstract: says how times are drawn only."""

    is_loss_aware = False

    def update(self, t: Float64[Tensor, " n"], loss: Float64[Tensor, " n"]) -> None:
        return

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        return

    def check(self, schedule: NoiseSchedule) -> None:
        return


def unweighted(t: Tensor) -> TimeDraw:
    """Times whose distribution is already the uniform one."""
    return TimeDraw(t, t.new_ones(t.shape))
