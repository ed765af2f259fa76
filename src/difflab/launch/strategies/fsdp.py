"""strategy=fsdp"""

from __future__ import annotations

from torch.optim import Optimizer

from difflab.launch.rank import SLACK
from difflab.launch.strategies.fully_sharded import FullyShardedStrategy
from difflab.launch.strategies.strategy import TrainingStrategy, check_sharded_precision, patience


class FSDP(TrainingStrategy):
    """Each process keeps 1/W of the weights, gradients and optimizer state; a block's weights come together while it computes
    (torch's FSDP2, `fully_shard`).

    timeout   minutes that a process waits for the others before it fails
    """

    def __init__(self, timeout: float = 30):
        self.timeout = patience(timeout)

    def check(self, processes: int, precision: str, optimizer: type[Optimizer]) -> None:
        check_sharded_precision("fsdp", precision)

    def lightning(self, processes: int) -> FullyShardedStrategy:
        return FullyShardedStrategy(timeout=self.timeout + SLACK)
