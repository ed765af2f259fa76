"""A project's training step in the plainest loop."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from benchmarks.peers.images import Images
from benchmarks.peers.training import Training, finish
from benchmarks.peers.work import Work


class Peer(ABC):
    """A project's network and what its training script does with a batch.

    Attributes:
        network: That is trained.
    """

    network: nn.Module

    @abstractmethod
    def loss(self, x_0: Tensor, label: Tensor | None) -> Tensor:
        """The mean over a batch [B, C, H, W] in [-1, 1]."""

    @abstractmethod
    def work(self, x_0: Tensor, label: Tensor | None) -> Work:
        """For a batch of one image."""

    @abstractmethod
    def step(self, x_0: Tensor, label: Tensor | None) -> None:
        """The whole of one optimizer step."""


class BareLoop(Training):
    """Steps of a peer after each other, without a log, checkpoints or signals.

    Args:
        peer: Whose steps.
        images: Trained on.
        batch: Images per step.
        device: Where.
    """

    def __init__(self, peer: Peer, images: Images, batch: int, device: torch.device):
        self._peer: Peer | None = peer
        self._images, self._batch, self._device = images, batch, device
        self.work = peer.work(*self._draw(1))

    def run(self, steps: int) -> float:
        assert self._peer is not None, "closed"
        finish(self._device)
        began = time.perf_counter()
        for _ in range(steps):
            self._peer.step(*self._draw(self._batch))
        finish(self._device)
        return time.perf_counter() - began

    def close(self) -> None:
        self._peer = None

    def _draw(self, batch: int) -> tuple[Tensor, Tensor | None]:
        pixels, labels = self._images.draw(batch)
        x_0 = pixels.to(self._device).float() / 127.5 - 1
        return x_0, None if labels is None else labels.to(self._device)
