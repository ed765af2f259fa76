"""Training in a few lines of PyTorch, without a loop that belongs to anybody."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.loop_task import Task
from difflab.data import GlobalBatches, TrainingStream
from difflab.noise import ImageNoise
from difflab.training import DiffusionModule
from difflab.types import Batch, Condition


class BareLoop(ABC):
    """Loss, gradient, optimizer; the optimizer does what difflab's does.

    module   whose network is trained
    """

    def __init__(self, task: Task, module: DiffusionModule, device: torch.device):
        self.task = task
        self.module = module.to(device)
        self.device = device
        self.optimizer = torch.optim.AdamW(self.module.model.parameters(), lr=1e-4, weight_decay=0.0, fused=True)

    def __call__(self, steps: int) -> float:
        """Seconds per step, of so many steps after one that does not count."""
        self.step()
        began = self.now()
        for _ in range(steps):
            self.step()
        return (self.now() - began) / steps

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()

    @abstractmethod
    def loss(self) -> Tensor:
        """Of the next batch."""

    def now(self) -> float:
        """Seconds, when the device has done all that it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


class PlainTorch(BareLoop):
    """DDPM's loss (arXiv 2006.11239, algorithm 1) as one writes it.

    Noise of torch's own generator, tables of alpha and sigma, images that lie on the device.
    """

    def __init__(self, task: Task, module: DiffusionModule, device: torch.device):
        super().__init__(task, module, device)
        self.images = (task.pixels.float() / 127.5 - 1).to(device)
        steps = 1000
        t = (torch.arange(steps, dtype=torch.float64) + 1) / steps
        level = module.denoiser.schedule(t)
        self.alpha, self.sigma = level.alpha.float().to(device), level.sigma.float().to(device)
        self.network = module.denoiser.network.train()

    def loss(self) -> Tensor:
        x_0 = self.images[torch.randint(len(self.images), (self.task.batch,), device=self.device)]
        step = torch.randint(len(self.alpha), (self.task.batch,), device=self.device)
        eps = torch.randn_like(x_0)
        x_t = self.alpha[step, None, None, None] * x_0 + self.sigma[step, None, None, None] * eps
        return F.mse_loss(self.network(x_t, step.double(), Condition()), eps)


class OwnLoss(BareLoop):
    """The stream, the noise and the objective of difflab: what difflab's loop computes, bit for bit, with nobody who watches."""

    def __init__(self, task: Task, module: DiffusionModule, device: torch.device):
        super().__init__(task, module, device)
        self.model = module.model.train()
        self.batches = self._batches()

    def loss(self) -> Tensor:
        batch = next(self.batches)
        noise = ImageNoise(self.module.seed, batch.number)
        return self.module.objective.objective(self.model, batch.x0, batch.cond, noise).total.mean()

    def _batches(self) -> Iterator[Batch]:
        stream = TrainingStream(self.task.data().dataset, 0, 0)
        for numbers in GlobalBatches(self.task.batch):
            batch = stream[numbers].to(self.device)
            yield Batch(batch.x0.float() / 127.5 - 1, batch.cond, batch.number)
