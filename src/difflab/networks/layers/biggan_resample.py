"""Residual blocks that change the resolution (BigGAN, arXiv 1809.11096; "BigGAN up/downsampling" in ADM's table 1)."""

from torch import nn

from difflab.networks.layers.resample import BlockFactory, Resample, double, halve


class BigGANResample(Resample):
    """A residual block whose two paths are pooled or repeated after the first activation; it has the embedding as well."""

    def down(self, channels: int, block: BlockFactory) -> nn.Module:
        return block(channels, channels, resize=halve)

    def up(self, channels: int, block: BlockFactory) -> nn.Module:
        return block(channels, channels, resize=double)
