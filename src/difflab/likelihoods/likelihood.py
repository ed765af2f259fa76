"""What a likelihood is, and the variational bound."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, NamedTuple

from jaxtyping import Float, Float64
from torch import Tensor

from difflab.noise import Noise
from difflab.objectives import BoundStep, bound_steps, prior_bits
from difflab.samplers import Sampler
from difflab.schedules import Chain, NoiseSchedule, own_chain
from difflab.types import Condition, DenoiseFn


class Bits(NamedTuple):
    """-log2 p(x_0) per dimension, [B] each, or a bound on it: the sum of all its parts.

    Attributes:
        prior: What belongs to no step: of a bound the part of the noisy end, of an exact likelihood all of it.
        steps: A term for each step, the noisiest first; taken once, as they come, so that none need be kept.
    """

    prior: Float[Tensor, " b"]
    steps: Iterable[BoundStep] = ()


class Likelihood(ABC):
    """(model, denoise, x_0, cond, noise) -> bits per dimension of each image.

    All randomness comes from `noise`, by image, so an image has the same likelihood in any batch and on any number of processes.

    Attributes:
        name: Of the number, as results and studies call it.
        label: Of the number, for people.
        unit: Of the number.
        bounded: Whether the model is asked within the bounds on x_0 that its guidance sets; other guidance is left out in any case.
        of_sampler: Whether its steps are those of the sampler's grid, which its protocol then names.
        of_densities: Whether it can also be asked for the density of data that are no pixels.
    """

    name: str
    label: str
    unit: str = "bits/dim"
    bounded: bool = False
    of_sampler: bool = False
    of_densities: bool = False

    @abstractmethod
    def times(self, schedule: NoiseSchedule, sampler: Sampler) -> Float64[Tensor, " n"]:
        """The rising times 0 = t_0 < .. < t_N between which its steps lie; [0] for one that has no steps.

        Args:
            schedule: The model's.
            sampler: Of the run, or the one that was chosen.

        Raises:
            ValueError: It cannot be computed for such a model.
        """

    @abstractmethod
    def __call__(
        self,
        model: Any,
        denoise: DenoiseFn,
        x_0: Float[Tensor, "b c *size"],
        cond: Condition,
        noise: Noise,
        times: Float64[Tensor, " n"],
        width: float | None,
    ) -> Bits:
        """The likelihoods of images.

        Args:
            model: What was trained; it has a schedule, and whatever else this likelihood is for.
            denoise: How it is asked: the model itself, or within bounds.
            x_0: The images; of pixels u / 127.5 - 1.
            cond: What they are told for.
            noise: The source of all that is drawn.
            times: As `times` gives them.
            width: Of the interval that a value stands for: 2 / 255 for 8-bit images; None for real values, of which it is the density.
        """


def times_of_steps(schedule: NoiseSchedule, sampler: Sampler) -> Float64[Tensor, " n"]:
    """The times of a bound: those of the sampler's grid, or all of the schedule's steps for a sampler without one."""
    return (own_chain(schedule) if sampler.grid is None else sampler.chain(schedule)).times


class VariationalBound(Likelihood):
    """The bound -log p(x_0) <= prior + sum of a term for each step (Ho et al. 2020, eq. 5), with the model's own variance.

    Along the times of the sampler's grid; along all steps of the schedule for a sampler without one. See `objectives.bound_steps`. Of
    points [B, C] it bounds the density; of images whose values are no grey levels it is not defined.
    """

    name = "bits_per_dim"
    label = "bits/dim"
    bounded = True
    of_sampler = True
    of_densities = True

    def times(self, schedule: NoiseSchedule, sampler: Sampler) -> Float64[Tensor, " n"]:
        return times_of_steps(schedule, sampler)

    def __call__(
        self,
        model: Any,
        denoise: DenoiseFn,
        x_0: Float[Tensor, "b c *size"],
        cond: Condition,
        noise: Noise,
        times: Float64[Tensor, " n"],
        width: float | None,
    ) -> Bits:
        grey_levels = width is not None and math.isclose(width, 2 / 255)
        if not grey_levels and (width is not None or x_0.ndim > 2):
            raise ValueError(
                "bits_per_dim needs 8-bit images: these data are no pixels. likelihood=probability_flow has densities"
            )
        chain = Chain(model.schedule, times)
        return Bits(prior_bits(x_0, chain), bound_steps(x_0, cond, denoise, model.variance, chain, noise))
