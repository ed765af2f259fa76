"""A convolution of an image whose pixels were doubled first, without the doubled image."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.resample import double


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
    """w4[2 - i + a, 2 - j + b] = sum of w[i, j] over i, j in 0 .. 2 and a, b in 0, 1."""
    spread = torch.zeros(3, 3, 4, 4, dtype=weight.dtype, device=weight.device)
    for i in range(3):
        for j in range(3):
            spread[i, j, 2 - i : 4 - i, 2 - j : 4 - j] = 1
    return (weight.transpose(0, 1).flatten(2) @ spread.reshape(9, 16)).unflatten(2, (4, 4))
