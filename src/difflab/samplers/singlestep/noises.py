"""Noise that is drawn anew in the steps of a singlestep solver."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

__all__ = ["Ancestral", "NoNoise", "NoisyStages", "StepNoise", "Target"]


class Target(NamedTuple):
    """How a noise level is reached: the solver goes down to a lower one, and noise is added.

    Attributes:
        down: The level sigma / alpha at which the solver arrives.
        up: Standard deviation of the noise that is added, in units of x_t / alpha_t; down^2 + up^2 is the level squared.
    """

    down: float
    up: float


class StepNoise(ABC):
    """How far below its end a step goes, to add noise there.

    Attributes:
        highest_order: The highest order of a step for which it is known.
    """

    highest_order: int

    @abstractmethod
    def end(self, begin: float, end: float) -> Target:
        """For the end of a step between two levels, of which the first may be infinite."""

    @abstractmethod
    def between(self, begin: float, end: float) -> Target:
        """For an evaluation on the way, at level `end`."""

    @abstractmethod
    def reach(self, begin: float, end: float) -> float:
        """The level towards which the places of the evaluations on the way are counted."""


class NoNoise(StepNoise):
    """None: the probability-flow equation."""

    highest_order = 3

    def end(self, begin: float, end: float) -> Target:
        return Target(end, 0.0)

    def between(self, begin: float, end: float) -> Target:
        return Target(end, 0.0)

    def reach(self, begin: float, end: float) -> float:
        return end


class Ancestral(StepNoise):
    """up = eta sqrt(s^2 (t^2 - s^2) / t^2), down = sqrt(s^2 - up^2) for levels s < t (k-diffusion, `get_ancestral_step`).

    At eta = 1 up^2 is the variance of q(x_s | x_t, x_0) in units of alpha_s: the first order is DDIM with the same eta. The step itself
    follows the probability-flow equation to `down`, so its places lie between t and `down`.

    Args:
        eta: 0 adds nothing; at most 1.
    """

    highest_order = 3

    def __init__(self, eta: float = 1.0):
        self.eta = _checked(eta)

    def end(self, begin: float, end: float) -> Target:
        return split(begin, end, self.eta)

    def between(self, begin: float, end: float) -> Target:
        return Target(end, 0.0)

    def reach(self, begin: float, end: float) -> float:
        return split(begin, end, self.eta).down


class NoisyStages(StepNoise):
    """The same, and the image on the way gets noise as well, of its own level: DPM-Solver++ SDE of k-diffusion (`sample_dpmpp_sde`).

    k-diffusion draws both from one Brownian motion (a tree of it, so that noise does not depend on the steps). Here, as in its code without
    a tree, they are independent, from image and step; in distribution that is the published method with a noise sampler of its own.

    Args:
        eta: 0 adds nothing; at most 1.
    """

    highest_order = 2

    def __init__(self, eta: float = 1.0):
        self.eta = _checked(eta)

    def end(self, begin: float, end: float) -> Target:
        return split(begin, end, self.eta)

    def between(self, begin: float, end: float) -> Target:
        return split(begin, end, self.eta)

    def reach(self, begin: float, end: float) -> float:
        return end


def split(begin: float, end: float, eta: float) -> Target:
    """How to reach the level `end` from `begin` > `end`, so much of the noise being new."""
    up = eta * end * math.sqrt(max(1 - (end / begin) ** 2, 0.0))
    return Target(math.sqrt(max(end**2 - up**2, 0.0)), up)


def _checked(eta: float) -> float:
    if not 0 <= eta <= 1:
        raise ValueError(f"eta = {eta} is the share of the noise that is drawn anew, from 0 to 1")
    return eta
