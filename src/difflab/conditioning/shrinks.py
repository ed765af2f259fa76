"""How an image is made small."""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

__all__ = ["Area", "Bicubic", "Shrink"]


class Shrink(ABC):
    """(images [B, C, H, H], size) -> [B, C, size, size]; both in [-1, 1]."""

    @abstractmethod
    def __call__(self, images: Float[Tensor, "b c h w"], size: int) -> Float[Tensor, "b c s s"]: ...


class Area(Shrink):
    """The mean of the n x n pixels that become one: F.interpolate(mode="area").

    OpenAI's upsamplers were trained with it (guided-diffusion and improved-diffusion, scripts/super_res_train.py).
    """

    def __call__(self, images: Float[Tensor, "b c h w"], size: int) -> Float[Tensor, "b c s s"]:
        return F.interpolate(images, (size, size), mode="area")


class Bicubic(Shrink):
    """A cubic kernel as wide as the pixels that become one, so that nothing finer than the result is seen in it.

    These are SR3's small images (arXiv 2104.07636, section 4: "bicubic interpolation with anti-aliasing enabled"). It overshoots beside
    edges; the result is clamped to [-1, 1], as an image file would.
    """

    def __call__(self, images: Float[Tensor, "b c h w"], size: int) -> Float[Tensor, "b c s s"]:
        small = F.interpolate(images, (size, size), mode="bicubic", align_corners=False, antialias=True)
        return small.clamp(-1, 1)
