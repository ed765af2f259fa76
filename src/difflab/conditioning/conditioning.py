"""What a model is conditioned on besides the class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor

from difflab.noise import Noise
from difflab.types import Condition


class Conditioning(ABC):
    """(cond, x_0, noise) -> Condition in training: adds to what the model is told of its training images.

    They have been augmented before, so that a mirrored image has a mirrored condition.

    Attributes:
        image_channels: Channels of the image that it gives the model, `Condition.image`; 0 for none.
    """

    image_channels: int

    @abstractmethod
    def __call__(self, cond: Condition, x_0: Float[Tensor, "b c h w"], noise: Noise) -> Condition: ...


def conditioned(
    cond: Condition, x_0: Float[Tensor, "b c *size"], noise: Noise, conditionings: Iterable[Conditioning]
) -> Condition:
    """What a model is told of training images, of which nothing is dropped.

    Args:
        cond: As the data have it.
        x_0: The images.
        noise: From which the conditionings draw.
        conditionings: What adds to it, one after the other.
    """
    for conditioning in conditionings:
        cond = conditioning(cond, x_0, noise)
    return cond
