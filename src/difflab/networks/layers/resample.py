"""How a level of the network hands its image to the next: the interface, and the two resizings without parameters."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch.nn.functional as F
from torch import Tensor, nn


@runtime_checkable
class BlockFactory(Protocol):
    """Makes a residual block of the network at hand: its norm, dropout and scale are fixed already."""

    def __call__(
        self, in_channels: int, out_channels: int, *, resize: Callable[[Tensor], Tensor] = ...
    ) -> nn.Module: ...


class Resample(ABC):
    """Makes the modules, each (h, emb) -> h, that halve and double the resolution between levels."""

    @abstractmethod
    def down(self, channels: int, block: BlockFactory) -> nn.Module: ...

    @abstractmethod
    def up(self, channels: int, block: BlockFactory) -> nn.Module: ...


def halve(h: Tensor) -> Tensor:
    """The mean of every 2 x 2 pixels."""
    return F.avg_pool2d(h, 2)


def double(h: Tensor) -> Tensor:
    """Every pixel 2 x 2 times."""
    return F.interpolate(h, scale_factor=2, mode="nearest")
