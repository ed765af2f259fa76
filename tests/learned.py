"""Parts of another package that learn: a schedule, and an objective with a weight of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from difflab.denoiser import Denoiser
from difflab.ema import Average
from difflab.noise import Noise
from difflab.objectives import Hybrid, Objective
from difflab.objectives.time_samplers import TimeSampler
from difflab.objectives.weightings import Weighting
from difflab.schedules import NoiseSchedule
from difflab.types import AlphaSigma, Condition, Losses


class LearnedSchedule(nn.Module, NoiseSchedule):
    """log-SNR(t) falls linearly between two learned ends (Kingma et al. 2021, section 3, with a linear gamma); discrete."""

    def __init__(self, steps: int, highest: float = 6.0, lowest: float = -6.0, shape: Sequence[int] = ()):
        super().__init__()
        self.steps = steps
        self.ends = nn.Parameter(torch.tensor([highest, lowest]))
        self.bend = nn.Parameter(torch.zeros(tuple(shape)))

    def forward(self, t: Tensor) -> AlphaSigma:
        high, low = self.ends.double().to(t.device)
        log_snr = high + (low - high) * t.double() + self.bend.double().to(t.device) * t * (1 - t)
        return AlphaSigma(torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt())

    def network_time(self, t: Tensor) -> Tensor:
        assert self.steps is not None
        return t * self.steps - 1

    def time(self, u: Tensor) -> Tensor:
        assert self.steps is not None
        return (torch.floor(u * self.steps) + 1) / self.steps


class UncertainHybrid(nn.Module, Objective[Denoiser]):
    """loss / exp(u) + u with a learned u (Karras et al. 2024, EDM2, section 2, for all noise levels alike)."""

    def __init__(self, time_sampler: TimeSampler, weighting: Weighting, vlb_weight: float, shape: Sequence[int] = ()):
        super().__init__()
        self.inner = Hybrid(time_sampler, weighting, vlb_weight)
        self.time_sampler = time_sampler
        self.u = nn.Parameter(torch.full(tuple(shape), 0.5))

    def forward(self, denoiser: Denoiser, x_0: Tensor, cond: Condition, noise: Noise) -> Losses:
        losses = self.inner(denoiser, x_0, cond, noise)
        return Losses(losses.total / self.u.exp() + self.u, losses.t, losses.terms)

    def check(self, denoiser: Denoiser) -> None:
        self.inner.check(denoiser)


class CoupledHybrid(Hybrid):
    """One whose loss is relative to the batch's mean."""

    couples_images = True

    def __call__(self, denoiser: Denoiser, x_0: Tensor, cond: Condition, noise: Noise) -> Losses:
        losses = super().__call__(denoiser, x_0, cond, noise)
        return Losses(losses.total / losses.total.detach().mean(), losses.t, losses.terms)


class TowardsAverage(Hybrid):
    """The hybrid objective, and the distance to what an average of the model says."""

    def __init__(self, time_sampler: TimeSampler, weighting: Weighting, vlb_weight: float, track: str):
        super().__init__(time_sampler, weighting, vlb_weight)
        self.target = Average(track)

    def __call__(self, denoiser: Denoiser, x_0: Tensor, cond: Condition, noise: Noise) -> Losses:
        losses = super().__call__(denoiser, x_0, cond, noise)
        t, x_t = torch.full((len(x_0),), 0.5, dtype=torch.float64, device=x_0.device), x_0 / 2
        before = self.target(x_t, t, cond).x0
        gap = ((denoiser(x_t, t, cond).x0 - before) ** 2).flatten(1).mean(1)
        return Losses(losses.total + gap, losses.t, losses.terms | {"gap": gap})


CHOSEN = (
    "schedule._target_=learned.LearnedSchedule",
    "~schedule.offset",
    "~schedule.max_beta",
    "~schedule.time_scale",
    "objective._target_=learned.UncertainHybrid",
)
"""Overrides of a command that trains with both, where it otherwise has schedule=cosine and objective=hybrid."""
