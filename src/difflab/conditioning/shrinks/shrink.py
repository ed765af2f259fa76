"""What makes an image small."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor


class Shrink(ABC):
    """(images [B, C, H, H], size) -> [B, C, size, size]; both in [-1, 1]."""

    @abstractmethod
    def __call__(self, images: Float[Tensor, "b c h w"], size: int) -> Float[Tensor, "b c s s"]: ...
