"""TensorFlow 1's bilinear resize (resize_bilinear_op.cc, align_corners and half_pixel_centers both false).

New pixel i lies at i * (size / new size), its left neighbour is the pixel below and its weight what is left. Rows and columns are done
after each other: every number meets the same operations in the same order as where all four corners are gathered (torch-fidelity), hence
the same bits, and the first of both passes has few pixels where a small image is enlarged.
"""

from __future__ import annotations

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor


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
