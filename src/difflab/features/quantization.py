"""From images in [-1, 1] to bytes, the form in which images are stored, embedded and compared.

- `to_uint8`: round((x + 1) * 127.5), the inverse of x = u / 127.5 - 1 for all 256 levels, as EDM does.
- `to_uint8_truncated`: floor((x + 1) * 127.5), as guided-diffusion's scripts do. In float32 63 of the 256 levels come back one lower, and a
  continuous image is darker by half a level. It moves FID: use it to reproduce numbers that were published with it, and for nothing else.

Numbers that are no pixels are stored as they are.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def to_uint8(x: Float[Tensor, "b c h w"]) -> UInt8[Tensor, "b c h w"]:
    """The nearest level; what lies outside [-1, 1] is clamped, what is not a number is refused."""
    return _levels(x).round().clamp(0, 255).to(torch.uint8)


def to_uint8_truncated(x: Float[Tensor, "b c h w"]) -> UInt8[Tensor, "b c h w"]:
    """The level below (guided-diffusion, scripts/image_sample.py)."""
    return _levels(x).clamp(0, 255).to(torch.uint8)


def finite(x: Tensor) -> Tensor:
    """Numbers that are no pixels, as they are stored: float32. What is not a number is refused."""
    _check_finite(x)
    return x.float()


def _levels(x: Tensor) -> Tensor:
    _check_finite(x)
    return (x.float() + 1) * 127.5  # bfloat16 cannot tell 256 levels apart


def _check_finite(x: Tensor) -> None:
    broken = ~torch.isfinite(x).flatten(1).all(dim=1)
    if broken.any():
        raise ValueError(
            f"image {int(broken.nonzero()[0])} of this batch of {len(x)} holds NaN or infinity: "
            "look at the weights (a diverged training run?) or at the sampler's precision"
        )
