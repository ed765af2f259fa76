"""The likelihood that a model has by itself, without a chain of steps: a flow's density, the bound of an autoencoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from difflab.likelihoods.likelihood import Bits, Likelihood
from difflab.noise import Noise
from difflab.samplers import Sampler
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, DenoiseFn


class HasBits(ABC):
    """A model that says itself what an image costs."""

    @abstractmethod
    def bits(self, x_0: Float[Tensor, "b c *size"], cond: Condition, noise: Noise) -> Float[Tensor, " b"]:
        """-log2 p(x_0) per dimension of 8-bit images, or a bound on it.

        Args:
            x_0: 8-bit images as u / 127.5 - 1.
            cond: What they are told for.
            noise: The source of all that is drawn.
        """


class OfModel(Likelihood):
    """-log2 p(x_0) per dimension as the model itself has it; see what it says of its `bits`."""

    name = "bits_per_dim_of_model"
    label = "bits/dim, the model's own"

    def times(self, schedule: NoiseSchedule, sampler: Sampler) -> Float64[Tensor, " n"]:
        return torch.zeros(1, dtype=torch.float64)

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
        if not isinstance(model, HasBits):
            raise ValueError(
                f"likelihood=of_model: {type(model).__name__} does not say by itself what an image costs; a chain of steps has "
                "likelihood=variational_bound, and a GAN has none"
            )
        return Bits(model.bits(x_0, cond, noise))
