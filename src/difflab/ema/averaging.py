"""What an average of weights is."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Averaging(ABC):
    """step -> beta: after optimizer step `step` = 1, 2, ... the average becomes beta * average + (1 - beta) * weights.

    The average starts as the initial weights.
    """

    @abstractmethod
    def beta(self, step: int) -> float:
        """Share of the old average that is kept after the given step."""
