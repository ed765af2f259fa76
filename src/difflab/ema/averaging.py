"""What an average of weights is."""

from __future__ import annotations

from abc import ABC, abstractmethod

YOUNG = 0.01
"""Share of its initial weights from which on an average is called young."""


class Averaging(ABC):
    """step -> beta: after optimizer step `step` = 1, 2, ... the average becomes beta * average + (1 - beta) * weights.

    The average starts as the initial weights.
    """

    @abstractmethod
    def beta(self, step: int) -> float:
        """Share of the old average that is kept after the given step."""


def initial_share(averaging: Averaging, steps: int) -> float:
    """How much of the initial weights an average still holds: the product of beta over the steps; 0 where it is below 1/1000."""
    share = 1.0
    for step in range(1, steps + 1):
        share *= averaging.beta(step)
        if share < 1e-3:
            return 0.0
    return share


def youth(name: str, averaging: Averaging, steps: int) -> str:
    """What to know of the numbers of an average that is still young; empty for one that has left its beginning behind."""
    share = initial_share(averaging, steps)
    if share < YOUNG:
        return ""
    return (
        f"the average {name!r} still holds {100 * share:.0f} % of its initial weights after {steps} steps, and its samples and scores show "
        "them; 'online' is the weights themselves, and ema=[warm_up] forgets the beginning soon"
    )
