"""Resampling with a convolution, as in DDPM (arXiv 2006.11239)."""

from torch import Tensor, nn

from difflab.networks.layers.doubling_convolution import DoublingConv2d
from difflab.networks.layers.resample import BlockFactory, Resample


class _ConvDown(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        return self.conv(h)


class _ConvUp(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = DoublingConv2d(channels, channels)

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        return self.conv(h)


class ConvResample(Resample):
    """Down: a 3x3 convolution of stride 2. Up: pixels repeated, then a 3x3 convolution."""

    def down(self, channels: int, block: BlockFactory) -> nn.Module:
        return _ConvDown(channels)

    def up(self, channels: int, block: BlockFactory) -> nn.Module:
        return _ConvUp(channels)
