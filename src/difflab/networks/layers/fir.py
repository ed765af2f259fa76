"""Halving and doubling the resolution behind a low-pass filter (Zhang 2019, arXiv 1904.11486; StyleGAN2; NCSN++, appendix H of 2011.13456).

With the filter [1, 1] these are the mean of 2 x 2 pixels and the repetition of pixels.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.fan_average import FanAverageConv2d
from difflab.networks.layers.resample import BlockFactory, Resample
from difflab.networks.network import BlockCondition

BINOMIAL = (1, 3, 3, 1)


class _Filtered(nn.Module):
    """Holds the filter k k^T / (sum k)^2, [1, 1, n, n].

    Args:
        taps: k: an even number of them, symmetric.
    """

    kernel: Tensor

    def __init__(self, taps: Sequence[float] = BINOMIAL):
        super().__init__()
        if len(taps) < 2 or len(taps) % 2 or list(taps) != list(reversed(taps)) or sum(taps) <= 0:
            raise ValueError(
                f"taps={list(taps)}: a filter has an even number of taps, is symmetric and has a positive sum"
            )
        self.padding = len(taps) // 2 - 1
        k = torch.tensor([float(tap) for tap in taps])
        self.register_buffer("kernel", (torch.outer(k, k) / k.sum() ** 2)[None, None], persistent=False)

    def filters(self, h: Tensor) -> Tensor:
        """One filter for each channel of an image, in its precision."""
        return self.kernel.to(h.dtype).expand(h.shape[1], 1, -1, -1)


class FIRHalve(_Filtered):
    """Every other pixel of the filtered image, [B, C, H, W] -> [B, C, H / 2, W / 2].

    Args:
        taps: Of the filter.
    """

    def forward(self, h: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c i j"]:
        return F.conv2d(h, self.filters(h), stride=2, padding=self.padding, groups=h.shape[1])


class FIRDouble(_Filtered):
    """The image with zeros between its pixels, filtered, [B, C, H, W] -> [B, C, 2 H, 2 W]; a constant image stays one but at its edges.

    Args:
        taps: Of the filter.
    """

    def forward(self, h: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c i j"]:
        return F.conv_transpose2d(h, 4 * self.filters(h), stride=2, padding=self.padding, groups=h.shape[1])


class FIRConvDown(_Filtered):
    """Conv(filter(h)) of stride 2, the zeros around the image being in front of both, [B, C, H, W] -> [B, D, H / 2, W / 2].

    Args:
        in_channels: Channels of the image.
        out_channels: Channels of the result.
        taps: Of the filter.
    """

    def __init__(self, in_channels: int, out_channels: int, taps: Sequence[float] = BINOMIAL):
        super().__init__(taps)
        self.conv = FanAverageConv2d(in_channels, out_channels, 3, stride=2, padding=0)

    def forward(self, h: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        return self.conv(F.conv2d(h, self.filters(h), padding=self.padding + 1, groups=h.shape[1]))


class FIRConvUp(_Filtered):
    """Conv(filter(h with zeros between its pixels)), the zeros around it being in front of both, [B, C, H, W] -> [B, D, 2 H, 2 W].

    Args:
        in_channels: Channels of the image.
        out_channels: Channels of the result.
        taps: Of the filter.
    """

    def __init__(self, in_channels: int, out_channels: int, taps: Sequence[float] = BINOMIAL):
        super().__init__(taps)
        # a filter of two taps leaves no pixels over, which the convolution then has to add
        self.left_over = max(self.padding - 1, 0)
        self.conv = FanAverageConv2d(in_channels, out_channels, 3, padding=max(1 - self.padding, 0))

    def forward(self, h: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        doubled = F.conv_transpose2d(h, 4 * self.filters(h), stride=2, padding=self.left_over, groups=h.shape[1])
        return self.conv(doubled)


class FIRResample(Resample):
    """BigGAN's residual blocks, whose two paths are filtered while they are halved and doubled (NCSN++).

    Args:
        taps: Of the filter.
    """

    def __init__(self, taps: Sequence[float] = BINOMIAL):
        self.taps = tuple(taps)

    def down(self, channels: int, block: BlockFactory) -> nn.Module:
        return block(channels, channels, resize=FIRHalve(self.taps))

    def up(self, channels: int, block: BlockFactory) -> nn.Module:
        return block(channels, channels, resize=FIRDouble(self.taps))


class _WithoutCondition(nn.Module):
    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, h: Tensor, emb: BlockCondition) -> Tensor:
        return self.layer(h)


class FIRConvResample(Resample):
    """A filter and a 3x3 convolution, as StyleGAN2's layers do it: NCSN++ with DDPM's blocks.

    Args:
        taps: Of the filter.
    """

    def __init__(self, taps: Sequence[float] = BINOMIAL):
        self.taps = tuple(taps)

    def down(self, channels: int, block: BlockFactory) -> nn.Module:
        return _WithoutCondition(FIRConvDown(channels, channels, self.taps))

    def up(self, channels: int, block: BlockFactory) -> nn.Module:
        return _WithoutCondition(FIRConvUp(channels, channels, self.taps))


class _ConvBelowAndRight(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = FanAverageConv2d(channels, channels, 3, stride=2, padding=0)

    def forward(self, h: Tensor, emb: BlockCondition) -> Tensor:
        return self.conv(F.pad(h, (0, 1, 0, 1)))


class _ConvUp(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = FanAverageConv2d(channels, channels, 3)

    def forward(self, h: Tensor, emb: BlockCondition) -> Tensor:
        return self.conv(F.interpolate(h, scale_factor=2, mode="nearest"))


class DDPMResample(Resample):
    """Down: a 3x3 convolution of stride 2, with zeros below and to the right alone. Up: pixels repeated, then a 3x3 convolution.

    So have DDPM's own code, whose TensorFlow pads like this, and its ports; `ConvResample` pads on all sides.
    """

    def down(self, channels: int, block: BlockFactory) -> nn.Module:
        return _ConvBelowAndRight(channels)

    def up(self, channels: int, block: BlockFactory) -> nn.Module:
        return _ConvUp(channels)
