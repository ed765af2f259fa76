"""What a model is conditioned on besides the class, and how conditions are put together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float, Int, UInt8
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


class Conditions(ABC):
    """Seeds -> Condition: a function of each seed, so that it does not matter who draws the image and with which others.

    Attributes:
        columns: Columns of a picture in which equal classes stand below each other; 0 where there is no such order.
    """

    columns: int

    @property
    @abstractmethod
    def fields(self) -> dict[str, Any]:
        """What a protocol says of them, nested."""

    @abstractmethod
    def __call__(self, seeds: Int[Tensor, " b"]) -> Condition:
        """The condition of the images with these seeds."""

    @abstractmethod
    def shown(self, images: UInt8[Tensor, "b c h w"], seeds: Int[Tensor, " b"]) -> UInt8[Tensor, "b c h w2"]:
        """What a picture shows of images: they alone, or beside them what they were drawn for.

        Args:
            images: The images, uint8.
            seeds: The seeds that they were drawn from.
        """
