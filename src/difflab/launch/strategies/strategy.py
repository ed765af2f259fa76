"""What the choices of `strategy=` have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta

from pytorch_lightning.strategies import Strategy
from torch.optim import Optimizer


class TrainingStrategy(ABC):
    """How the processes of a run share its work and its memory. What comes out of a run does not depend on it.

    Attributes:
        timeout: How long a process waits for the others before it fails.
    """

    timeout: timedelta = timedelta(minutes=30)

    @abstractmethod
    def check(self, processes: int, precision: str, optimizer: type[Optimizer]) -> None:
        """Raises a ValueError if the combination cannot work."""

    @abstractmethod
    def lightning(self, processes: int) -> Strategy | str:
        """What Lightning's Trainer takes as its strategy for so many processes."""


SHARDED_PRECISIONS = ("32-true", "32", "bf16-mixed", "bf16")
"""Precisions that a strategy which divides the weights can keep: the weights and the optimizer stay float32."""


def check_sharded_precision(strategy: str, precision: str) -> None:
    """Raises a ValueError for a precision whose weights or gradients are not float32."""
    if str(precision) not in SHARDED_PRECISIONS:
        raise ValueError(
            f"strategy={strategy} keeps weights, gradients and averages in float32 and cannot do trainer.precision={precision}: use "
            "32-true or bf16-mixed (the network computes in bfloat16), or strategy=ddp"
        )


def patience(minutes: float) -> timedelta:
    """A `timeout` of a strategy."""
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or minutes <= 0:
        raise ValueError(f"strategy.timeout={minutes}: expected minutes, more than 0")
    return timedelta(minutes=minutes)
