"""Images that are there twice, pixel by pixel: within a set of samples, and in the reference too.

A distance between Gaussians sees neither: 1,000 copies of one image are a set with little variance, and samples that are training images
have the best distance there is.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from difflab.data.image_set import pixel_digest
from difflab.metrics.quantize import to_uint8
from difflab.metrics.reference import ImageSource

_AT_ONCE = 256


def digests_of(images: Tensor) -> UInt8[Tensor, "b 16"]:
    """A hash of each image [B, C, H, W]; of images that are no pixels as they are stored."""
    pixels = images if images.dtype == torch.uint8 else to_uint8(images)
    hashes = b"".join(pixel_digest(image.permute(1, 2, 0).cpu().numpy()) for image in pixels)
    return torch.frombuffer(bytearray(hashes), dtype=torch.uint8).reshape(-1, 16)


def digests_of_all(source: ImageSource) -> UInt8[Tensor, "n 16"]:
    """Of all images of a source, each of which is read."""
    starts = range(0, len(source), _AT_ONCE)
    return torch.cat([digests_of(source.images(range(s, min(s + _AT_ONCE, len(source))))) for s in starts])


def copies_within(digests: UInt8[Tensor, "n 16"]) -> int:
    """How many images equal an earlier one."""
    return len(digests) - len(np.unique(_values(digests)))


def copies_of(digests: UInt8[Tensor, "n 16"], others: UInt8[Tensor, "m 16"]) -> int:
    """How many images equal one of the others."""
    return int(np.isin(_values(digests), _values(others)).sum())


def _values(digests: Tensor) -> NDArray[np.uint64]:
    """The first 8 of the 16 bytes as a number: two of a million images are mistaken for one once in 40 million sets."""
    return np.ascontiguousarray(digests[:, :8].numpy()).view(np.uint64).reshape(-1)
