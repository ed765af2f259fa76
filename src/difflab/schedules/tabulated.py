"""A discrete schedule: a table with a row for each step of a DDPM chain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.schedules.schedule import NoiseSchedule
from difflab.types import AlphaSigma


class Tabulated(NoiseSchedule):
    """alpha_bar_i = prod_{j <= i} (1 - beta_j);  alpha = sqrt(alpha_bar), sigma = sqrt(1 - alpha_bar) (Ho et al. 2020, eq. 4).

    Step i = 0 .. T-1 sits at t = (i + 1) / T, so that t = 0 is the clean image before the first step. There the table is exact; between its
    rows, for samplers that ask, alpha and sigma are interpolated linearly. The network is told i.

    Args:
        betas: Variances of the T steps, each in (0, 1].
        time_scale: The network is told i * time_scale. OpenAI's `rescale_timesteps` is time_scale = 1000 / T.
    """

    def __init__(self, betas: Sequence[float] | np.ndarray | Tensor, time_scale: float = 1.0):
        betas = torch.as_tensor(np.asarray(betas, dtype=np.float64))
        if betas.ndim != 1 or len(betas) == 0:
            raise ValueError(
                f"betas: expected a list of numbers, one per step, but their shape is {tuple(betas.shape)}"
            )
        outside = torch.nonzero(~((betas > 0) & (betas <= 1)))
        if len(outside):
            i = int(outside[0])
            raise ValueError(
                f"betas[{i}] = {betas[i]:.6g} is outside (0, 1] (of {len(betas)} steps); use more steps or smaller betas"
            )
        if (betas[:-1] == 1).any():
            raise ValueError("a beta of 1 before the last step leaves no signal for the steps after it")
        alpha_bar = torch.cumprod(1 - betas, 0)
        clean = betas.new_tensor([0.0])
        self.betas = betas
        self.steps = self._count = len(betas)
        self.time_scale = time_scale
        self._alpha = torch.cat([clean + 1, alpha_bar.sqrt()])
        self._sigma = torch.cat([clean, (1 - alpha_bar).sqrt()])
        self._on_device: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        row, fraction = self._row(t)
        above = (row + 1).clamp(max=self._count)
        alpha, sigma = self._tables(t.device)
        return AlphaSigma(
            torch.lerp(alpha[row], alpha[above], fraction), torch.lerp(sigma[row], sigma[above], fraction)
        )

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        row, fraction = self._row(t)
        return (row + fraction - 1) * self.time_scale

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return (torch.floor(u * self._count) + 1).clamp(max=self._count) / self._count

    def _row(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Row of the table (0 is clean) and the fraction of the way to the next; a time that means a row hits it exactly."""
        position = t.double() * self._count
        nearest = position.round()
        position = torch.where((position - nearest).abs() < 1e-6, nearest, position)
        row = position.floor().clamp(0, self._count)
        return row.long(), (position - row).clamp(0, 1)

    def _tables(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if device not in self._on_device:  # once per device: a transfer in every step would make the host wait
            self._on_device[device] = self._alpha.to(device), self._sigma.to(device)
        return self._on_device[device]
