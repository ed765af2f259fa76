"""A noise schedule that learns: log-SNR falls along a monotone network (arXiv 2107.00630, appendix H)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from difflab.schedules import NoiseSchedule
from difflab.types import AlphaSigma


class Monotone(nn.Module, NoiseSchedule):
    """log(alpha^2 / sigma^2) falls from one learned end to another as a network with positive weights does.

    Args:
        steps: Of the discrete process.
        width: Hidden units.
    """

    def __init__(self, steps: int = 20, width: int = 8):
        super().__init__()
        self.steps = steps
        self.ends = nn.Parameter(torch.tensor([6.0, -6.0]))
        self.weight, self.bias = nn.Parameter(torch.linspace(-1, 1, width)), nn.Parameter(torch.linspace(-2, 2, width))
        self.out = nn.Parameter(torch.zeros(width))

    def rise(self, t: Tensor) -> Tensor:
        weight, out = F.softplus(self.weight.double()), F.softplus(self.out.double())
        return t + (torch.sigmoid(t[..., None] * weight + self.bias.double()) * out).sum(-1)

    def forward(self, t: Tensor) -> AlphaSigma:
        t = t.double()
        low, high = self.rise(torch.zeros_like(t)), self.rise(torch.ones_like(t))
        log_snr = torch.lerp(*self.ends.double().expand(len(t), 2).unbind(1), (self.rise(t) - low) / (high - low))
        return AlphaSigma(torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt())

    def network_time(self, t: Tensor) -> Tensor:
        return t * self.steps - 1

    def time(self, u: Tensor) -> Tensor:
        return (torch.floor(u * self.steps) + 1) / self.steps
