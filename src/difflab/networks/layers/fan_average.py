"""Layers whose weights begin uniform with a variance over the mean of fan-in and fan-out, as those of DDPM, NCSN++ and DDPM++.

Var w = scale / ((fan_in + fan_out) / 2), biases zero (Glorot and Bengio 2010; Song et al. 2021, arXiv 2011.13456, whose code has it from
DDPM's). A scale of zero becomes 1e-10: last layers of branches begin near zero, not at it.
"""

import math

from torch import nn

_SMALLEST = 1e-10


def _draw(layer: nn.Conv2d | nn.Linear, scale: float) -> None:
    nn.init.xavier_uniform_(layer.weight, gain=math.sqrt(max(scale, _SMALLEST)))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class FanAverageConv2d(nn.Conv2d):
    """A convolution that keeps the resolution, or divides it by its stride.

    Args:
        in_channels: Channels of the image.
        out_channels: Channels of the result.
        kernel_size: Side of the kernel.
        scale: Of the initial variance.
        stride: Pixels from one place of the kernel to the next.
        padding: Pixels of zeros around the image; None for half the kernel.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        scale: float = 1.0,
        stride: int = 1,
        padding: int | None = None,
    ):
        self.scale = scale
        super().__init__(
            in_channels, out_channels, kernel_size, stride, kernel_size // 2 if padding is None else padding
        )

    def reset_parameters(self) -> None:
        _draw(self, self.scale)


class FanAverageLinear(nn.Linear):
    """A linear layer.

    Args:
        in_features: Size of the vector.
        out_features: Size of the result.
    """

    def reset_parameters(self) -> None:
        _draw(self, 1.0)
