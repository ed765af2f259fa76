"""What a condition that is made of the image itself is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from difflab.noise import Noise
from difflab.types import Condition


class Conditioning(ABC):
    """(cond, x_0, noise) -> Condition in training: adds to what the model is told of its training images. They have been augmented before,
    so that a mirrored image has a mirrored condition.

    image_channels   of the image that it gives the model, `Condition.image`; 0 for none
    """

    image_channels: int

    @abstractmethod
    def __call__(self, cond: Condition, x_0: Float[Tensor, "b c h w"], noise: Noise) -> Condition: ...
