"""The training step of ADM's paper written the plain way (arXiv 2105.05233, appendix I; arXiv 2006.11239, algorithm 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.peers.architecture import Architecture
from benchmarks.peers.bare_loop import Peer
from benchmarks.peers.plain_unet import PlainUNet
from benchmarks.peers.work import Work

STEPS, DECAY, LEARNING_RATE = 1000, 0.9999, 1e-4


class PlainTraining(Peer):
    """A batch in micro-batches, AdamW as torch gives it, an average of the weights that is updated weight by weight.

    micro_batch   images at a time
    autocast      to this type; float16 with a scaled loss, as guided-diffusion has it. None: float32
    """

    def __init__(
        self, architecture: Architecture, device: torch.device, micro_batch: int, autocast: torch.dtype | None = None
    ):
        self.network = PlainUNet(architecture).to(device)
        self._micro_batch, self._device, self._autocast = micro_batch, device, autocast
        self._optimizer = torch.optim.AdamW(self.network.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
        self._scaler = torch.amp.GradScaler(device.type, enabled=autocast is torch.float16)
        self._average = [p.detach().clone() for p in self.network.parameters()]
        beta = torch.linspace(1e-4, 0.02, STEPS, dtype=torch.float64)
        signal = torch.cumprod(1 - beta, dim=0)
        self._alpha, self._sigma = (x.sqrt().float().to(device)[:, None, None, None] for x in (signal, 1 - signal))

    def loss(self, x_0: Tensor, label: Tensor | None) -> Tensor:
        step = torch.randint(0, STEPS, (len(x_0),), device=self._device)
        eps = torch.randn_like(x_0)
        x_t = self._alpha[step] * x_0 + self._sigma[step] * eps
        with torch.autocast(self._device.type, self._autocast, enabled=self._autocast is not None):
            predicted = self.network(x_t, step, label)
        return ((eps - predicted.float()) ** 2).mean(dim=(1, 2, 3)).mean()

    def work(self, x_0: Tensor, label: Tensor | None) -> Work:
        return Work.counted(self.network, lambda: self.loss(x_0, label))

    def step(self, x_0: Tensor, label: Tensor | None) -> None:
        self._optimizer.zero_grad()
        for first in range(0, len(x_0), self._micro_batch):
            part = slice(first, first + self._micro_batch)
            loss = self.loss(x_0[part], None if label is None else label[part])
            self._scaler.scale(loss * len(x_0[part]) / len(x_0)).backward()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        with torch.no_grad():
            for average, parameter in zip(self._average, self.network.parameters(), strict=True):
                average.mul_(DECAY).add_(parameter, alpha=1 - DECAY)
