"""Pillow's bicubic resize of 8-bit images, on any device and for whole batches.

Pillow resizes rows, rounds to bytes, then resizes columns and rounds again, halves up; its cubic has a = -1/2 and is widened when an
image shrinks (antialiasing). The same two passes here give Pillow's bytes but for rare sums near a half, which move a pixel by a level.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor


def pillow_bicubic(images: UInt8[Tensor, "b c h w"], height: int, width: int) -> Float32[Tensor, "b c height width"]:
    """Whole numbers 0 .. 255."""
    x = images.to(torch.float32)
    for size in ((images.shape[2], width), (height, width)):
        x = (
            F.interpolate(x, size=size, mode="bicubic", align_corners=False, antialias=True)
            .add(0.5)
            .floor()
            .clamp(0, 255)
        )
    return x
