"""What conditioning augmentation is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float, Float64
from torch import Tensor

from difflab.noise import Noise


class Augmentation(ABC):
    """(image, noise) -> (noised image, level), level [B] float64 being the standard deviation of the noise in it; None for one that never
    adds any.

    Ho et al. 2021, "Cascaded Diffusion Models" (arXiv 2106.15282, section 4): an upsampler that was trained on real small images alone
    takes the flaws of drawn ones for details. Noise hides them. In training the level is drawn anew for each image, so that one
    model can be used with any; in sampling it is fixed. The network is told it if it has the embedder `level`.
    """

    @property
    @abstractmethod
    def described(self) -> str:
        """What a protocol says of the noise in sampling."""

    @abstractmethod
    def __call__(
        self, image: Float[Tensor, "b c s s"], noise: Noise
    ) -> tuple[Float[Tensor, "b c s s"], Float64[Tensor, " b"] | None]:
        """In training: a level drawn from `noise`."""

    @abstractmethod
    def in_sampling(
        self, image: Float[Tensor, "b c s s"], noise: Noise
    ) -> tuple[Float[Tensor, "b c s s"], Float64[Tensor, " b"] | None]:
        """In sampling: the fixed level. Each image's noise is a function of its seed."""


LEVEL, EPS = "conditioning level", "conditioning noise"
"""Purposes of what is drawn."""
