"""Scores for guidance by gradients: image -> how good it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["ChannelMeans", "Score", "Similarity"]


class ChannelMeans:
    """-|mean over pixels - target|^2 / (2 std^2), a Gaussian on the mean of each channel.

    Args:
        target: The wanted mean of each channel in [-1, 1], or one number for all.
        std: How far from it is still good.
    """

    def __init__(self, target: Sequence[float], std: float):
        if not std > 0:
            raise ValueError(f"std = {std} must be above 0")
        self.target = list(target)
        self.std = std

    def __call__(self, x_0: Float[Tensor, "b c *size"], /) -> Float[Tensor, " b"]:
        means = x_0.flatten(2).mean(dim=2)
        return -(means - means.new_tensor(self.target)).square().sum(dim=1) / (2 * self.std**2)


@runtime_checkable
class Score(Protocol):
    """x_0 [B, C, H, W] in [-1, 1] -> [B], differentiable: a log-probability up to a constant.

    Any function will do. One that is a module is moved to the denoiser's device, and named by its weights in the protocol of a number.
    """

    def __call__(self, x_0: Tensor, /) -> Tensor: ...


class Similarity(nn.Module):
    """Sharpness times cos(embed(x_0), target): what CLIP guidance asks for, target being the embedding of a text or of an image.

    (Nichol et al. 2021, "GLIDE", arXiv 2112.10741; Crowson et al. 2022, arXiv 2204.08583.)

    Args:
        embed: [B, C, H, W] in [-1, 1] -> [B, E], differentiable; resizing and normalising are its own affair.
        target: The wanted embedding, [E].
        sharpness: What the cosine is multiplied by; 100 is that of CLIP's own training.
    """

    target: Tensor

    def __init__(self, embed: nn.Module, target: Float[Tensor, " e"], sharpness: float):
        super().__init__()
        self.embed = embed
        self.sharpness = sharpness
        self.register_buffer("target", target)

    def forward(self, x_0: Float[Tensor, "b c *size"], /) -> Float[Tensor, " b"]:
        embedded = self.embed(x_0)
        return self.sharpness * F.cosine_similarity(embedded, self.target.to(embedded)[None], dim=1)
