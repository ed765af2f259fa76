"""What a contender is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

from benchmarks.peers.work import Work


class Training(ABC):
    """Training under way, which goes on when it is its turn.

    Attributes:
        work: What it does for an image.
    """

    work: Work

    @abstractmethod
    def run(self, steps: int) -> float:
        """Takes optimizer steps, and returns the seconds they took together; the device has then finished them."""

    @abstractmethod
    def close(self) -> None:
        """Ends it, and lets go of its memory."""


def finish(device: torch.device) -> None:
    """Waits for what a GPU still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
