"""Progressive growing of NCSN++: the image at every resolution beside the features, on the way down and on the way up.

Song et al. 2021 (arXiv 2011.13456, appendix H.1) after StyleGAN2 (arXiv 1912.04958, section 4.1): input skips, residual inputs, output
skips, residual outputs.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.fan_average import FanAverageConv2d
from difflab.networks.layers.fir import BINOMIAL, FIRConvDown, FIRConvUp, FIRDouble, FIRHalve
from difflab.networks.layers.song_block import Norm, rescaled


class ProgressiveInput(nn.Module, ABC):
    """How the noisy image enters the levels below the first: (level, image, h) -> (image, h) after the features h were halved.

    Made from (in_channels, channels, residual_scale): channels of the noisy image and of the features at each halving, factor of sums.

    Attributes:
        channels: Channels of the features after each halving.
    """

    channels: list[int]

    @abstractmethod
    def forward(self, level: int, image: Tensor, h: Tensor) -> tuple[Tensor, Tensor]: ...


class NoProgressiveInput(ProgressiveInput):
    """The image enters at the first level alone."""

    def __init__(self, in_channels: int, channels: Sequence[int], residual_scale: float):
        super().__init__()
        self.channels = list(channels)

    def forward(self, level: int, image: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        return image, h


class SkipInput(ProgressiveInput):
    """h + Conv1x1(image), the image halved as often as the features: "input skip", combined by a sum.

    Args:
        in_channels: Channels of the image.
        channels: Of the features at each halving.
        residual_scale: Not asked: this sum is not rescaled.
        taps: Of the filter that halves the image.
    """

    def __init__(
        self, in_channels: int, channels: Sequence[int], residual_scale: float, taps: Sequence[float] = BINOMIAL
    ):
        super().__init__()
        self.channels = list(channels)
        self.halve = FIRHalve(taps)
        self.convs = nn.ModuleList([FanAverageConv2d(in_channels, count, 1) for count in channels])

    def forward(self, level: int, image: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        image = self.halve(image)
        return image, self.convs[level](image) + h


class JoinedSkipInput(ProgressiveInput):
    """[Conv1x1(image), h]: "input skip", combined by concatenation; the features have twice as many channels afterwards.

    Args:
        in_channels: Channels of the image.
        channels: Of the features at each halving.
        residual_scale: Not asked: there is no sum.
        taps: Of the filter that halves the image.
    """

    def __init__(
        self, in_channels: int, channels: Sequence[int], residual_scale: float, taps: Sequence[float] = BINOMIAL
    ):
        super().__init__()
        self.channels = [2 * count for count in channels]
        self.halve = FIRHalve(taps)
        self.convs = nn.ModuleList([FanAverageConv2d(in_channels, count, 1) for count in channels])

    def forward(self, level: int, image: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        image = self.halve(image)
        return image, torch.cat([self.convs[level](image), h], dim=1)


class ResidualInput(ProgressiveInput):
    """(h + Conv(image)) residual_scale, which is also the image of the next level: "residual", what NCSN++ has on CIFAR-10.

    Args:
        in_channels: Channels of the image.
        channels: Of the features at each halving.
        residual_scale: Factor of the sum.
        taps: Of the filter before the convolution that halves.
    """

    def __init__(
        self, in_channels: int, channels: Sequence[int], residual_scale: float, taps: Sequence[float] = BINOMIAL
    ):
        super().__init__()
        self.channels, self.residual_scale = list(channels), residual_scale
        before = [in_channels, *channels][: len(channels)]
        self.convs = nn.ModuleList([FIRConvDown(old, new, taps) for old, new in zip(before, channels, strict=True)])

    def forward(self, level: int, image: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        total = rescaled(self.convs[level](image) + h, self.residual_scale)
        return total, total


class ProgressiveOutput(nn.Module, ABC):
    """How the result leaves the network: (level, image, h) -> (image, h) after each level of the way up, then `end`.

    Made from (channels, out_channels, norm, residual_scale): channels of each level's features, coarsest first, and of the result. The
    image is None before the first level.
    """

    @abstractmethod
    def forward(self, level: int, image: Tensor | None, h: Tensor) -> tuple[Tensor | None, Tensor]: ...

    @abstractmethod
    def end(self, image: Tensor | None, h: Tensor) -> Float[Tensor, "b o h w"]:
        """The result, after the last level."""


class ToImage(nn.Module):
    """Conv(SiLU(norm(h))), which begins near zero where that is asked.

    Args:
        channels: Of the features.
        out_channels: Of the image.
        norm: Makes the norm.
        scale: Of the convolution's initial variance.
    """

    def __init__(self, channels: int, out_channels: int, norm: Norm, scale: float = 0.0):
        super().__init__()
        self.norm = norm(channels)
        self.conv = FanAverageConv2d(channels, out_channels, 3, scale=scale)

    def forward(self, h: Tensor) -> Tensor:
        return self.conv(F.silu(self.norm(h).to(h.dtype)))


class NoProgressiveOutput(ProgressiveOutput):
    """The image is made of the features of the last level alone."""

    def __init__(self, channels: Sequence[int], out_channels: int, norm: Norm, residual_scale: float):
        super().__init__()
        self.to_image = ToImage(channels[-1], out_channels, norm)

    def forward(self, level: int, image: Tensor | None, h: Tensor) -> tuple[Tensor | None, Tensor]:
        return image, h

    def end(self, image: Tensor | None, h: Tensor) -> Float[Tensor, "b o h w"]:
        return self.to_image(h)


class SkipOutput(ProgressiveOutput):
    """The sum of an image of each level, doubled as often as is needed: "output skip", what NCSN++ has at 256 x 256 and above.

    Args:
        channels: Of each level's features, coarsest first.
        out_channels: Of the image.
        norm: Makes the norms.
        residual_scale: Not asked: these sums are not rescaled.
        taps: Of the filter that doubles the image.
    """

    def __init__(
        self,
        channels: Sequence[int],
        out_channels: int,
        norm: Norm,
        residual_scale: float,
        taps: Sequence[float] = BINOMIAL,
    ):
        super().__init__()
        self.enlarge = FIRDouble(taps)
        self.to_image = nn.ModuleList([ToImage(count, out_channels, norm) for count in channels])

    def forward(self, level: int, image: Tensor | None, h: Tensor) -> tuple[Tensor | None, Tensor]:
        more = self.to_image[level](h)
        return (more if image is None else self.enlarge(image) + more), h

    def end(self, image: Tensor | None, h: Tensor) -> Float[Tensor, "b o h w"]:
        assert image is not None
        return image


class ResidualOutput(ProgressiveOutput):
    """Features that go up beside the others and are added to them at each level, (h + Conv(image)) residual_scale: "residual".

    Args:
        channels: Of each level's features, coarsest first.
        out_channels: Of the image.
        norm: Makes the norms.
        residual_scale: Factor of the sums.
        taps: Of the filter with which the convolutions double.
    """

    def __init__(
        self,
        channels: Sequence[int],
        out_channels: int,
        norm: Norm,
        residual_scale: float,
        taps: Sequence[float] = BINOMIAL,
    ):
        super().__init__()
        self.residual_scale = residual_scale
        self.begin = ToImage(channels[0], channels[0], norm, scale=1.0)
        self.convs = nn.ModuleList([FIRConvUp(old, new, taps) for old, new in pairwise(channels)])
        self.to_image = ToImage(channels[-1], out_channels, norm)

    def forward(self, level: int, image: Tensor | None, h: Tensor) -> tuple[Tensor | None, Tensor]:
        if image is None:
            return self.begin(h), h
        total = rescaled(self.convs[level - 1](image) + h, self.residual_scale)
        return total, total

    def end(self, image: Tensor | None, h: Tensor) -> Float[Tensor, "b o h w"]:
        return self.to_image(h)
