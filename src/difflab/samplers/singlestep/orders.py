"""Of which order a step is, and how much of the grid it spans."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

__all__ = ["EachStep", "Leap", "Orders", "PerEvaluation", "checked_order"]


class Leap(NamedTuple):
    """A step of the solver.

    Attributes:
        order: Its order, which is the number of evaluations.
        steps: How many steps of the grid it takes: 1, or as many as evaluations, which are then at the grid's own times.
    """

    order: int
    steps: int


class Orders(ABC):
    """Which step is taken next."""

    @abstractmethod
    def leap(self, i: int) -> Leap:
        """The step that begins at the grid's i-th time and stays above the clean image.

        Args:
            i: 2 or more; the step from the first time to the clean image is of first order in any case.
        """


class EachStep(Orders):
    """One order in all steps of the grid: k (N - 1) + 1 evaluations for N steps. "singlestep_fixed" in the code of DPM-Solver's authors.

    Args:
        order: k, 1 to 3.
    """

    def __init__(self, order: int):
        self.order = checked_order(order)

    def leap(self, i: int) -> Leap:
        return Leap(self.order, 1)


class PerEvaluation(Orders):
    """One evaluation for each step of the grid: a step of order k spans k of them (DPM-Solver-fast, Lu et al. 2022, section 3.4).

    With 3 M + 1 left: M of third order and one of first; 3 M + 2: one of second order; 3 M: M - 1 of third, one of second, one of first, as
    in appendix D.3 and the authors' "singlestep". The evaluations on the way are those at the grid's own times, as the authors have it with
    times uniform in t. With a grid in log-SNR their steps are all of one width whatever their order; here each is as wide as its order.

    Args:
        order: The highest, 1 to 3.
    """

    def __init__(self, order: int):
        self.order = checked_order(order)

    def leap(self, i: int) -> Leap:
        left = i - 1  # the last evaluation is that of the step to the clean image
        order = 2 if self.order == 3 and left == 3 else min(self.order, left)
        return Leap(order, order)


def checked_order(order: int) -> int:
    """An order that there is.

    Raises:
        ValueError: There is none such.
    """
    if not 1 <= order <= 3:
        raise ValueError(
            f"singlestep solvers are of order 1, 2 or 3, not {order}: set sampler.orders.order to one of them"
        )
    return order
