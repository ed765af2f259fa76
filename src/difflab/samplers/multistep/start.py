"""How a multistep sampler gets its first predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from difflab.samplers.multistep.quantities import Quantity
from difflab.samplers.multistep.span import Place, Span
from difflab.samplers.sampler import Walk

__all__ = ["Growing", "PseudoImprovedEuler", "PseudoRungeKutta", "StartUp"]


class StartUp(ABC):
    """The first steps of a walk.

    Attributes:
        steps: How many they are.
    """

    steps: int

    @abstractmethod
    def planned(self, walk: Walk, quantity: Quantity, begin: Place, end: Place) -> Callable[[Tensor, Tensor], Tensor]:
        """(x_t, the quantity there) -> the value of the quantity with which a step of first order is as good as one of higher order.

        Args:
            walk: What is walked.
            quantity: What is remembered of the predictions.
            begin: Where the step begins, with a signal.
            end: Where it ends, with noise.
        """


class Growing(StartUp):
    """No steps of its own: the order of the rule grows as predictions come."""

    steps = 0

    def planned(self, walk: Walk, quantity: Quantity, begin: Place, end: Place) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda x, first: first


class PseudoImprovedEuler(StartUp):
    """eps' = (eps_t + eps_s) / 2, eps_s being that at the end of DDIM's step: one step, two calls (Stable Diffusion's PLMS)."""

    steps = 1

    def planned(self, walk: Walk, quantity: Quantity, begin: Place, end: Place) -> Callable[[Tensor, Tensor], Tensor]:
        there = _Transfer(walk, quantity, begin, end)
        return lambda x, first: (first + there(x, first)) / 2


class PseudoRungeKutta(StartUp):
    """eps' = (e_1 + 2 e_2 + 2 e_3 + e_4) / 6 in the first three steps, four calls each (Liu et al. 2022, arXiv 2202.09778, eq. 13).

    e_1 = eps(x_t, t), e_2 at half the way on DDIM's step with e_1, e_3 there with e_2, e_4 at the end with e_3. Half the way is half in t.
    """

    steps = 3

    def planned(self, walk: Walk, quantity: Quantity, begin: Place, end: Place) -> Callable[[Tensor, Tensor], Tensor]:
        t = (begin.time + end.time) / 2
        level = walk.schedule(walk.chain.times.new_tensor([t]))
        half = _Transfer(walk, quantity, begin, Place(t, *torch.cat(level).tolist()))
        there = _Transfer(walk, quantity, begin, end)

        def mean(x: Tensor, e_1: Tensor) -> Tensor:
            e_2 = half(x, e_1)
            e_3 = half(x, e_2)
            e_4 = there(x, e_3)
            return (e_1 + 2 * e_2 + 2 * e_3 + e_4) / 6

        return mean


class _Transfer:
    """(x_t, a value of the quantity) -> its value where a step of first order ends."""

    def __init__(self, walk: Walk, quantity: Quantity, begin: Place, end: Place):
        self.walk, self.quantity, self.end = walk, quantity, end
        self.image, (self.factor,), _ = quantity.straight(Span(walk.schedule, end, (begin,)))

    def __call__(self, x: Tensor, value: Tensor) -> Tensor:
        x = self.image * x + self.factor * value
        return self.quantity.of(x, self.walk.predict(x, self.end.time).x0, self.end)
