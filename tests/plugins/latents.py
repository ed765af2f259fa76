"""A first stage that halves the sides of an image: its latents are means of 2 x 2 pixels, drawn with a little noise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from difflab.spaces import FirstStage


class Pooled(FirstStage):
    """Means of 2 x 2 pixels, times a weight; decoded by repetition."""

    image_channels, channels, factor = 1, 1, 2

    def __init__(self, gain: float = 2.0):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def encode(self, images):
        mean = self.gain * F.avg_pool2d(images, 2)
        return mean, torch.full_like(mean, 0.01)

    def decode(self, latents):
        return F.interpolate(latents / self.gain, scale_factor=2)
