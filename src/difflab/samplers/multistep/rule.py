"""What tells one multistep sampler from another: the weights of its steps."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from difflab.samplers.multistep.quantities import Quantity
from difflab.samplers.multistep.span import Span, Weights

__all__ = ["Corrector", "Rule", "checked_order"]


class Rule(ABC):
    """The weights of a step, which depend on the chain alone.

    Attributes:
        quantity: What is remembered of the predictions.
        order: How many of them a step uses at most.
        widest: How many times as wide in lambda as the step before it a step may be for earlier predictions to be extrapolated over it; a
            wider one uses its own prediction alone.
    """

    quantity: Quantity
    order: int
    widest: float = math.inf

    @abstractmethod
    def weights(self, span: Span) -> Weights:
        """The weights of a step that uses as many predictions as `span` has; fewer if it cannot use them.

        Args:
            span: The step. It does not begin where no signal is left; it may end at the clean image.
        """


class Corrector(ABC):
    """Takes a step once more when the prediction at its end is there, which is asked for anyway, for the next step."""

    @abstractmethod
    def weights(self, span: Span, quantity: Quantity) -> Weights:
        """The weights of the step: that of the prediction at its end first, then those of `span`.

        Args:
            span: The step that was taken; it does not end at the clean image.
            quantity: What is remembered of the predictions.
        """


def checked_order(order: int, highest: int, of: str) -> int:
    """An order that a rule has.

    Raises:
        ValueError: It has it not.
    """
    if not 1 <= order <= highest:
        raise ValueError(f"{of} has orders 1 to {highest}, not {order}: set sampler.rule.order to one of them")
    return order
