"""strategy=auto"""

from __future__ import annotations

from torch.optim import Optimizer

from difflab.launch.strategies.strategy import TrainingStrategy


class Automatic(TrainingStrategy):
    """One process alone, DDP for several."""

    def check(self, processes: int, precision: str, optimizer: type[Optimizer]) -> None:
        return

    def lightning(self) -> str:
        return "auto"
