"""Strategies that Lightning has already: one process, several with the whole model each, and the choice between them."""

from __future__ import annotations

from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch.optim import Optimizer

from difflab.launch.rank import SLACK
from difflab.launch.strategies.strategy import TrainingStrategy, patience


class Single(TrainingStrategy):
    """One process on one device."""

    def check(self, processes: int, precision: str, optimizer: type[Optimizer]) -> None:
        if processes != 1:
            raise ValueError(
                f"strategy=single is one process, but trainer.devices and trainer.num_nodes make {processes}: set strategy=ddp (or fsdp, "
                "deepspeed_2 ...), or trainer.devices=1"
            )

    def lightning(self, processes: int) -> str:
        return "auto"  # which with one device is that device, whatever it is


class DDP(TrainingStrategy):
    """Every process has the whole model; gradients are averaged while the backward pass goes on (torch's DistributedDataParallel).

    find_unused_parameters   needed by networks of which a step uses only a part; costs a walk through the graph
    timeout                  minutes that a process waits for the others before it fails
    """

    def __init__(self, find_unused_parameters: bool = False, timeout: float = 30):
        self.find_unused_parameters = find_unused_parameters
        self.timeout = patience(timeout)

    def check(self, processes: int, precision: str, optimizer: type[Optimizer]) -> None:
        return

    def lightning(self, processes: int) -> DDPStrategy:
        return DDPStrategy(
            find_unused_parameters=self.find_unused_parameters,
            timeout=self.timeout + SLACK,
            gradient_as_bucket_view=True,  # gradients lie where they are exchanged from, instead of there as well
        )


class Automatic(TrainingStrategy):
    """One process alone, DDP for several."""

    def check(self, processes: int, precision: str, optimizer: type[Optimizer]) -> None:
        return

    def lightning(self, processes: int) -> Strategy | str:
        return "auto" if processes == 1 else DDP().lightning(processes)
