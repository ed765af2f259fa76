"""What turns the images inside a classifier into logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn


class Pooling(nn.Module, ABC):
    """The images of all depths of a `Trunk`, the deepest last -> logits. Made from (features, resolution, out_channels): the channels of
    each image, the size of the last one, and the number of classes."""

    @abstractmethod
    def forward(self, images: Sequence[Tensor]) -> Float[Tensor, "b o"]:
        """Logits."""
