"""EDM's numbers, and the network whose outputs they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from difflab.denoiser import Denoiser
from difflab.networks.network import Network
from difflab.parameterizations import Parameterization
from difflab.schedules import NoiseSchedule
from difflab.types import Condition
from difflab.variances import FixedSmall

GOLDEN = Path(__file__).parent
EDM_NUMBERS = np.load(GOLDEN / "edm.npz")
EDM_RUNS = json.loads((GOLDEN / "edm.json").read_text(encoding="utf-8"))["runs"]


class FakeF(Network):
    """0.7 tanh(x + 0.1 n) + 0.2 sin n + 0.1 sum_k k label_k, n being what it is told; `times` holds that.

    Args:
        labels: [B, K] one-hot or not, or None.
        sign: -1 for a peer that calls its output the negative noise.
    """

    in_channels, out_channels, image_size = 3, 3, 4

    def __init__(self, labels: Tensor | None = None, sign: float = 1.0):
        super().__init__()
        self.labels, self.sign = labels, sign
        self.times: list[Tensor] = []
        self.scale = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        self.times.append(time)
        n = time.float().reshape(-1, 1, 1, 1)
        out = self.scale * torch.tanh(x + 0.1 * n) + 0.2 * torch.sin(n)
        if self.labels is not None:
            out = out + 0.1 * (self.labels * torch.arange(self.labels.shape[1])).sum(1).reshape(-1, 1, 1, 1)
        return self.sign * out


def fake_denoiser(schedule: NoiseSchedule, parameterization: Parameterization, network: FakeF) -> Denoiser:
    return Denoiser(network, schedule, parameterization, FixedSmall())
