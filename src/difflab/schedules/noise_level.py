"""Noise levels: how large the noise is against the image, whatever the schedule scales both with."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.schedules.schedule import NoiseSchedule

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
