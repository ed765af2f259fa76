"""Clips of a digit that moves to the right, and a network of convolutions over time and space."""

from __future__ import annotations

import torch
from torch import nn

from difflab.data import ArrayImages, Digits
from difflab.networks import Network
from difflab.networks.layers import TimeEmbedding


class MovingDigits(ArrayImages):
    """[1, T, 8, 8]: frame f is moved by f pixels."""

    def __init__(self, frames: int = 3):
        digits = Digits()
        still = digits.images(range(len(digits)))
        super().__init__(torch.stack([still.roll(f, dims=3) for f in range(frames)], dim=2), digits.labels)


class Convolutions3d(Network):
    """Two convolutions; the time is added to the channels between them."""

    def __init__(self, image_size, in_channels, out_channels, width=16):
        super().__init__()
        self.image_size, self.in_channels, self.out_channels = image_size, in_channels, out_channels
        self.time = TimeEmbedding(width, width)
        self.first = nn.Conv3d(in_channels, width, 3, padding=1)
        self.last = nn.Conv3d(width, out_channels, 3, padding=1)

    def forward(self, x, time, cond):
        hidden = self.first(x) + self.time(time)[:, :, None, None, None]
        return self.last(hidden.relu()).to(x.dtype)
