"""strategy=auto"""

from __future__ import annotations

from pytorch_lightning.strategies import Strategy
from torch.optim import Optimizer

from difflab.launch.strategies.ddp import DDP
from difflab.launch.strategies.strategy import TrainingStrategy


class Automatic(TrainingStrategy):
    """One process alone, DDP for several."""

    def check(self, processes: int, precision: str, optimizer: type[Optimizer]) -> None:
        return

    def lightning(self, processes: int) -> Strategy | str:
        return "auto" if processes == 1 else DDP().lightning(processes)
