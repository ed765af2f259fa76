"""A network of convolutions with torch's batch norm, whose running statistics belong to the weights."""

from __future__ import annotations

from torch import nn

from difflab.networks.network import Network


class Convolutions(Network):
    """Two convolutions with a batch norm between them."""

    def __init__(self, image_size: int, in_channels: int, out_channels: int, width: int = 8):
        super().__init__()
        self.image_size, self.in_channels, self.out_channels = image_size, in_channels, out_channels
        self.time = nn.Linear(1, width)
        self.first, self.norm = nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width)
        self.last = nn.Conv2d(width, out_channels, 3, padding=1)

    def forward(self, x, time, cond):
        hidden = self.first(x) + self.time(time[:, None].to(x) / 1000)[:, :, None, None]
        return self.last(self.norm(hidden).relu())
