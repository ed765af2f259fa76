"""The network of FID and IS: InceptionV3 as its graph of 2015-12-05 has it, arranged for evaluation.

TensorFlow 1's bilinear resize (resize_bilinear_op.cc, align_corners and half_pixel_centers both false).

New pixel i lies at i * (size / new size), its left neighbour is the pixel below and its weight what is left. Rows and columns are done
after each other: every number meets the same operations in the same order as where all four corners are gathered (torch-fidelity), hence
the same bits, and the first of both passes has few pixels where a small image is upsampled.

The network of FID and IS: InceptionV3 as its graph of 2015-12-05 has it, arranged for evaluation alone.

Names and shapes of the weights are torch-fidelity's. The graph differs from torchvision's InceptionV3: 1008 classes, averages that leave
the padding out of the count, and in its last block (Mixed_7c) a maximum where the others have an average.

Three things are not computed as they are written down there. Results change by rounding (tests/features/test_inception_network.py); on a
CPU it takes half the time:

    batch norm       is part of the convolution: w' = w gamma / sqrt(var + eps), b' = beta - mean gamma / sqrt(var + eps), in float64
    3 x 3 average    follows the 1 x 1 convolution that it preceded. They commute, since a mean of counted pixels leaves a bias as
                     it is, and there are up to ten times fewer channels to average
    memory layout    channels last on a CPU: oneDNN's convolutions then need no reordering before and after each

The resize of TensorFlow 1 is `tensorflow_resize`, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn


def tensorflow_bilinear(
    images: UInt8[Tensor, "b c h w"], height: int, width: int
) -> Float32[Tensor, "b c height width"]:
    """In 0 .. 255; a tensor of its own."""
    return _along(_along(images.float(), 3, width), 2, height)


def _along(x: Tensor, dim: int, size: int) -> Tensor:
    last = x.shape[dim] - 1
    where = torch.arange(size, dtype=torch.float32, device=x.device) * torch.tensor(
        x.shape[dim] / size, dtype=torch.float32
    )
    low = where.long()
    share = where - low.float()
    left = x.index_select(dim, low)
    right = x.index_select(dim, (low + 1).clamp_max(last))
    return right.sub_(left).mul_(share if dim == 3 else share[:, None]).add_(left)


SIDE = 299
_EPS = 1e-3

State = Mapping[str, Tensor]
Size = int | tuple[int, int]


class Activations(NamedTuple):
    """pooled [B, 2048] "pool_3", logits [B, 1008] before their bias, mixed_6 [B, 192, 17, 17] "mixed_6/conv" after its ReLU."""

    pooled: Float[Tensor, "b 2048"]
    logits: Float[Tensor, "b 1008"]
    mixed_6: Float[Tensor, "b 192 17 17"]


class InceptionNetwork(nn.Module):
    """uint8 RGB images [B, 3, H, W] -> Activations.

    Args:
        state: Of torch-fidelity's network. KeyError or ValueError says which tensor is missing or has another shape.
    """

    fc: Tensor

    def __init__(self, state: State):
        super().__init__()
        self.to_mixed_6d = nn.Sequential(
            _Convolution(state, "Conv2d_1a_3x3", 3, 32, 3, stride=2),  # 149 x 149
            _Convolution(state, "Conv2d_2a_3x3", 32, 32, 3),
            _Convolution(state, "Conv2d_2b_3x3", 32, 64, 3, padding=1),  # 147 x 147
            nn.MaxPool2d(3, 2),
            _Convolution(state, "Conv2d_3b_1x1", 64, 80, 1),
            _Convolution(state, "Conv2d_4a_3x3", 80, 192, 3),
            nn.MaxPool2d(3, 2),  # 35 x 35
            _block_a(state, "Mixed_5b", 192, 32),
            _block_a(state, "Mixed_5c", 256, 64),
            _block_a(state, "Mixed_5d", 288, 64),
            _block_b(state, "Mixed_6a"),  # 17 x 17
            _block_c(state, "Mixed_6b", 128),
            _block_c(state, "Mixed_6c", 160),
            _block_c(state, "Mixed_6d", 160),
        )
        self.from_mixed_6e = nn.Sequential(
            _block_c(state, "Mixed_6e", 192),
            _block_d(state, "Mixed_7a"),  # 8 x 8
            _block_e(state, "Mixed_7b", 1280, _averaged(state, "Mixed_7b.branch_pool", 1280, 192)),
            _block_e(state, "Mixed_7c", 2048, _greatest(state, "Mixed_7c.branch_pool", 2048, 192)),
        )
        self.register_buffer("fc", _tensor(state, "fc.weight", (1008, 2048)))

    def forward(self, images: UInt8[Tensor, "b 3 h w"]) -> Activations:
        x = tensorflow_bilinear(images, SIDE, SIDE).sub_(128).div_(128)
        if x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)  # and so are the outputs of all layers
        x = self.to_mixed_6d(x)
        mixed_6 = x[:, :192]  # the first branch
        pooled = self.from_mixed_6e(x).mean(dim=(2, 3))
        return Activations(pooled, pooled @ self.fc.T, mixed_6)


class _Convolution(nn.Module):
    """max(0, w * x + b), with the batch norm in w and b."""

    weight: Tensor
    bias: Tensor

    def __init__(
        self, state: State, name: str, inputs: int, outputs: int, kernel: Size, stride: int = 1, padding: Size = 0
    ):
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        weight, bias = _without_norm(state, name, (outputs, inputs, height, width))
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).relu_()

    def linear(self, x: Tensor) -> Tensor:
        """Before the ReLU."""
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)


class _Averaged(nn.Module):
    """max(0, mean of w * x + b over 3 x 3 pixels), of those that are there."""

    def __init__(self, convolution: _Convolution):
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.convolution.linear(x), 3, 1, 1, count_include_pad=False).relu_()


class _Branches(nn.Module):
    """Several computations of one input, their channels after each other."""

    def __init__(self, *branches: nn.Module):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def _block_a(state: State, name: str, inputs: int, pooled: int) -> nn.Module:
    """35 x 35."""
    return _Branches(
        _Convolution(state, f"{name}.branch1x1", inputs, 64, 1),
        nn.Sequential(
            _Convolution(state, f"{name}.branch5x5_1", inputs, 48, 1),
            _Convolution(state, f"{name}.branch5x5_2", 48, 64, 5, padding=2),
        ),
        nn.Sequential(
            _Convolution(state, f"{name}.branch3x3dbl_1", inputs, 64, 1),
            _Convolution(state, f"{name}.branch3x3dbl_2", 64, 96, 3, padding=1),
            _Convolution(state, f"{name}.branch3x3dbl_3", 96, 96, 3, padding=1),
        ),
        _averaged(state, f"{name}.branch_pool", inputs, pooled),
    )


def _block_b(state: State, name: str) -> nn.Module:
    """35 x 35 -> 17 x 17."""
    return _Branches(
        _Convolution(state, f"{name}.branch3x3", 288, 384, 3, stride=2),
        nn.Sequential(
            _Convolution(state, f"{name}.branch3x3dbl_1", 288, 64, 1),
            _Convolution(state, f"{name}.branch3x3dbl_2", 64, 96, 3, padding=1),
            _Convolution(state, f"{name}.branch3x3dbl_3", 96, 96, 3, stride=2),
        ),
        nn.MaxPool2d(3, 2),
    )


def _block_c(state: State, name: str, c: int) -> nn.Module:
    """17 x 17. A 7 x 7 convolution is one along rows and one along columns."""
    return _Branches(
        _Convolution(state, f"{name}.branch1x1", 768, 192, 1),
        nn.Sequential(
            _Convolution(state, f"{name}.branch7x7_1", 768, c, 1),
            _along_row(state, f"{name}.branch7x7_2", c, c, 7),
            _along_column(state, f"{name}.branch7x7_3", c, 192, 7),
        ),
        nn.Sequential(
            _Convolution(state, f"{name}.branch7x7dbl_1", 768, c, 1),
            _along_column(state, f"{name}.branch7x7dbl_2", c, c, 7),
            _along_row(state, f"{name}.branch7x7dbl_3", c, c, 7),
            _along_column(state, f"{name}.branch7x7dbl_4", c, c, 7),
            _along_row(state, f"{name}.branch7x7dbl_5", c, 192, 7),
        ),
        _averaged(state, f"{name}.branch_pool", 768, 192),
    )


def _block_d(state: State, name: str) -> nn.Module:
    """17 x 17 -> 8 x 8."""
    return _Branches(
        nn.Sequential(
            _Convolution(state, f"{name}.branch3x3_1", 768, 192, 1),
            _Convolution(state, f"{name}.branch3x3_2", 192, 320, 3, stride=2),
        ),
        nn.Sequential(
            _Convolution(state, f"{name}.branch7x7x3_1", 768, 192, 1),
            _along_row(state, f"{name}.branch7x7x3_2", 192, 192, 7),
            _along_column(state, f"{name}.branch7x7x3_3", 192, 192, 7),
            _Convolution(state, f"{name}.branch7x7x3_4", 192, 192, 3, stride=2),
        ),
        nn.MaxPool2d(3, 2),
    )


def _block_e(state: State, name: str, inputs: int, pooled: nn.Module) -> nn.Module:
    """8 x 8."""
    return _Branches(
        _Convolution(state, f"{name}.branch1x1", inputs, 320, 1),
        nn.Sequential(
            _Convolution(state, f"{name}.branch3x3_1", inputs, 384, 1),
            _Branches(
                _along_row(state, f"{name}.branch3x3_2a", 384, 384, 3),
                _along_column(state, f"{name}.branch3x3_2b", 384, 384, 3),
            ),
        ),
        nn.Sequential(
            _Convolution(state, f"{name}.branch3x3dbl_1", inputs, 448, 1),
            _Convolution(state, f"{name}.branch3x3dbl_2", 448, 384, 3, padding=1),
            _Branches(
                _along_row(state, f"{name}.branch3x3dbl_3a", 384, 384, 3),
                _along_column(state, f"{name}.branch3x3dbl_3b", 384, 384, 3),
            ),
        ),
        pooled,
    )


def _averaged(state: State, name: str, inputs: int, outputs: int) -> nn.Module:
    return _Averaged(_Convolution(state, name, inputs, outputs, 1))


def _greatest(state: State, name: str, inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.MaxPool2d(3, 1, 1), _Convolution(state, name, inputs, outputs, 1))


def _along_row(state: State, name: str, inputs: int, outputs: int, size: int) -> nn.Module:
    return _Convolution(state, name, inputs, outputs, (1, size), padding=(0, size // 2))


def _along_column(state: State, name: str, inputs: int, outputs: int, size: int) -> nn.Module:
    return _Convolution(state, name, inputs, outputs, (size, 1), padding=(size // 2, 0))


def _without_norm(state: State, name: str, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that does what convolution and batch norm do."""
    weight = _tensor(state, f"{name}.conv.weight", shape).double()
    parts = ("weight", "bias", "running_mean", "running_var")
    gamma, beta, mean, variance = (_tensor(state, f"{name}.bn.{part}", shape[:1]).double() for part in parts)
    scale = gamma / torch.sqrt(variance + _EPS)
    return (weight * scale[:, None, None, None]).float(), (beta - mean * scale).float()


def _tensor(state: State, name: str, shape: tuple[int, ...]) -> Tensor:
    if name not in state:
        raise KeyError(f"{name} is missing")
    if tuple(state[name].shape) != shape:
        raise ValueError(f"{name} has the shape {list(state[name].shape)}, expected {list(shape)}")
    return state[name]
