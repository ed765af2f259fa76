"""The bound of binomial diffusion on the likelihood of bits: for each of them, and for all of an example."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from difflab.likelihoods.likelihood import Bits, Likelihood, times_of_steps
from difflab.noise import Noise
from difflab.objectives import BoundStep, binomial_bound_steps, binomial_prior_bits
from difflab.samplers import Sampler
from difflab.schedules import Chain, NoiseSchedule
from difflab.types import Condition, DenoiseFn


class _OfBits(Likelihood):
    """Base: along the times of the sampler's grid, as `VariationalBound`; a subclass says what a bound of so many bits is told in."""

    bounded = True
    of_sampler = True

    def times(self, schedule: NoiseSchedule, sampler: Sampler) -> Float64[Tensor, " n"]:
        return times_of_steps(schedule, sampler)

    @abstractmethod
    def count(self, dimensions: int) -> int:
        """How many bits the number is of."""

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
        if not torch.all(x_0.abs() == 1):
            raise ValueError(
                f"likelihood: {self.name} is of data whose values are 0 and 255 alone, as those of data=heartbeat and digits_binary"
            )
        chain, count = Chain(model.schedule, times), self.count(math.prod(x_0.shape[1:]))
        steps = binomial_bound_steps(x_0, cond, denoise, chain, noise)
        told = (BoundStep(t, count * vb, x0_mse, eps_mse) for t, vb, x0_mse, eps_mse in steps)
        return Bits(count * binomial_prior_bits(x_0, chain), told)


class BitsPerBit(_OfBits):
    """The bound on -log2 p(x_0) divided by the number of bits: 1 for fair coins."""

    name = "bits_per_bit"
    label = "bits/dim of bits"

    def count(self, dimensions: int) -> int:
        return 1


class BitsPerSequence(_OfBits):
    """The bound on -log2 p(x_0) in bits an example: of heartbeats log2 5 = 2.322 at best (Sohl-Dickstein et al. 2015, section 3.1.2)."""

    name = "bits_per_sequence"
    label = "bits/sequence"
    unit = "bits"

    def count(self, dimensions: int) -> int:
        return dimensions
