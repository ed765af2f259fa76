"""What a strategy makes each process hold and send."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.scaling_model.traffic import Traffic
from difflab.studies.planning.counting import Workload

FLOAT = 4
"""Bytes of a weight, of a gradient and of each moment: float32 under every strategy and precision (docs/strategies.md)."""
MOMENTS = 2
"""Of Adam."""


@dataclass(frozen=True)
class Memory:
    """Bytes of a process.

    Attributes:
        copies: Flat copies of weights or gradients that an implementation keeps.
        gathered: Shared weights that have come together for a moment.
        activations: What the forward pass keeps for the backward pass.
    """

    weights: float
    gradients: float
    optimizer: float
    averages: float
    copies: float
    gathered: float
    activations: float

    @property
    def state(self) -> float:
        """What stays from step to step."""
        return self.weights + self.gradients + self.optimizer + self.averages + self.copies

    @property
    def total(self) -> float:
        return self.state + self.gathered + self.activations


class Sharding(ABC):
    """A strategy, to the model on paper."""

    @abstractmethod
    def memory(self, work: Workload, n: int, images: float) -> Memory:
        """What each of n processes holds that computes so many images at a time."""

    @abstractmethod
    def traffic(self, work: Workload, micro_batches: int) -> Sequence[Traffic]:
        """What the processes send in an optimizer step of so many micro-batches."""

    @abstractmethod
    def updated(self, n: int) -> float:
        """Share of the weights that a process's optimizer updates."""

    @abstractmethod
    def averaged(self, n: int) -> float:
        """Share of the weights that a process averages (EMA)."""
