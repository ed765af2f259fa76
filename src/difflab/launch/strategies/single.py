"""strategy=single"""

from __future__ import annotations

from torch.optim import Optimizer

from difflab.launch.strategies.strategy import TrainingStrategy


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
