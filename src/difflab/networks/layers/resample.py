"""Changes of resolution between the levels of a network."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.network import BlockCondition


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


class DoublingConv2d(nn.Conv2d):
    """Conv(double(h)) for a kernel of 3 x 3, [B, C, H, W] -> [B, D, 2 H, 2 W].

    Of the nine pixels that the kernel covers in the doubled image several are one and the same in h, so that four products do for nine:
    with the weights that meet one pixel added up, the map is a transposed convolution of stride 2 whose kernel of 4 x 4 is `widened`.
    On CPUs that takes half the time (forward and backward). GPUs and half precision keep the two steps, for which their kernels are made.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 3, padding=1)

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        in_one = (
            input.device.type == "cpu" and input.dtype == self.weight.dtype and not torch.is_autocast_enabled("cpu")
        )
        if in_one:
            return F.conv_transpose2d(input, widened(self.weight), self.bias, stride=2, padding=1)
        return super().forward(double(input))


def widened(weight: Float[Tensor, "d c 3 3"]) -> Float[Tensor, "c d 4 4"]:
    """The kernel w4[2 - i + a, 2 - j + b] = sum of w[i, j] over i, j in 0 .. 2 and a, b in 0, 1."""
    spread = torch.zeros(3, 3, 4, 4, dtype=weight.dtype, device=weight.device)
    for i in range(3):
        for j in range(3):
            spread[i, j, 2 - i : 4 - i, 2 - j : 4 - j] = 1
    return (weight.transpose(0, 1).flatten(2) @ spread.reshape(9, 16)).unflatten(2, (4, 4))


class BigGANResample(Resample):
    """A residual block whose two paths are pooled or repeated after the first activation; it has the embedding as well."""

    def down(self, channels: int, block: BlockFactory) -> nn.Module:
        return block(channels, channels, resize=halve)

    def up(self, channels: int, block: BlockFactory) -> nn.Module:
        return block(channels, channels, resize=double)


class _ConvDown(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, h: Tensor, emb: BlockCondition) -> Tensor:
        return self.conv(h)


class _ConvUp(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = DoublingConv2d(channels, channels)

    def forward(self, h: Tensor, emb: BlockCondition) -> Tensor:
        return self.conv(h)


class ConvResample(Resample):
    """Down: a 3x3 convolution of stride 2. Up: pixels repeated, then a 3x3 convolution."""

    def down(self, channels: int, block: BlockFactory) -> nn.Module:
        return _ConvDown(channels)

    def up(self, channels: int, block: BlockFactory) -> nn.Module:
        return _ConvUp(channels)


class _TransposedUp(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1)

    def forward(self, h: Tensor, emb: BlockCondition) -> Tensor:
        return self.conv(h)


class TransposedResample(Resample):
    """Down: a 3x3 convolution of stride 2. Up: a transposed 4x4 convolution of stride 2 (the UNets of many reimplementations)."""

    def down(self, channels: int, block: BlockFactory) -> nn.Module:
        return _ConvDown(channels)

    def up(self, channels: int, block: BlockFactory) -> nn.Module:
        return _TransposedUp(channels)


class _PoolDown(nn.Module):
    def forward(self, h: Tensor, emb: BlockCondition) -> Tensor:
        return halve(h)


class _RepeatUp(nn.Module):
    def forward(self, h: Tensor, emb: BlockCondition) -> Tensor:
        return double(h)


class PoolResample(Resample):
    """Down: the mean of 2 x 2 pixels. Up: pixels repeated."""

    def down(self, channels: int, block: BlockFactory) -> nn.Module:
        return _PoolDown()

    def up(self, channels: int, block: BlockFactory) -> nn.Module:
        return _RepeatUp()


class Enlargement(ABC):
    """How a small image gets the size of a large one: (image [B, C, s, s], (H, W)) -> [B, C, H, W]."""

    @abstractmethod
    def __call__(self, image: Float[Tensor, "b c s s"], size: tuple[int, int]) -> Float[Tensor, "b c h w"]: ...


class BilinearEnlargement(Enlargement):
    """Bilinear, as OpenAI's upsamplers (guided-diffusion, SuperResModel)."""

    def __call__(self, image: Float[Tensor, "b c s s"], size: tuple[int, int]) -> Float[Tensor, "b c h w"]:
        return F.interpolate(image, size, mode="bilinear")


class BicubicEnlargement(Enlargement):
    """Bicubic, as SR3 (arXiv 2104.07636, section 2.2)."""

    def __call__(self, image: Float[Tensor, "b c s s"], size: tuple[int, int]) -> Float[Tensor, "b c h w"]:
        return F.interpolate(image, size, mode="bicubic")
