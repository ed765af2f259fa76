"""Resampling without parameters."""

from torch import Tensor, nn

from difflab.networks.layers.resample import BlockFactory, Resample, double, halve


class _PoolDown(nn.Module):
    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        return halve(h)


class _RepeatUp(nn.Module):
    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        return double(h)


class PoolResample(Resample):
    """Down: the mean of 2 x 2 pixels. Up: pixels repeated."""

    def down(self, channels: int, block: BlockFactory) -> nn.Module:
        return _PoolDown()

    def up(self, channels: int, block: BlockFactory) -> nn.Module:
        return _RepeatUp()
