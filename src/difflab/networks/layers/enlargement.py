"""How a super-resolution network enlarges the small image that it is given."""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


class Enlargement(ABC):
    """(image [B, C, s, s], (H, W)) -> [B, C, H, W]."""

    @abstractmethod
    def __call__(self, image: Float[Tensor, "b c s s"], size: tuple[int, int]) -> Float[Tensor, "b c h w"]: ...


class BilinearEnlargement(Enlargement):
    """As OpenAI's upsamplers (guided-diffusion, SuperResModel)."""

    def __call__(self, image: Float[Tensor, "b c s s"], size: tuple[int, int]) -> Float[Tensor, "b c h w"]:
        return F.interpolate(image, size, mode="bilinear")


class BicubicEnlargement(Enlargement):
    """As SR3 (arXiv 2104.07636, section 2.2)."""

    def __call__(self, image: Float[Tensor, "b c s s"], size: tuple[int, int]) -> Float[Tensor, "b c h w"]:
        return F.interpolate(image, size, mode="bicubic")
