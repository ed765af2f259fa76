"""Images whose embedding is near a given one."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Similarity(nn.Module):
    """sharpness cos(embed(x_0), target): what CLIP guidance asks for, target being the embedding of a text or of an image (Nichol et al.
    2021, "GLIDE", arXiv 2112.10741; Crowson et al. 2022, arXiv 2204.08583).

    embed       [B, C, H, W] in [-1, 1] -> [B, E], differentiable; resizing and normalising are its own affair
    target      [E]
    sharpness   by which the cosine is multiplied; 100 is that of CLIP's own training
    """

    target: Tensor

    def __init__(self, embed: nn.Module, target: Float[Tensor, " e"], sharpness: float):
        super().__init__()
        self.embed = embed
        self.sharpness = sharpness
        self.register_buffer("target", target)

    def forward(self, x_0: Float[Tensor, "b c h w"], /) -> Float[Tensor, " b"]:
        embedded = self.embed(x_0)
        return self.sharpness * F.cosine_similarity(embedded, self.target.to(embedded)[None], dim=1)
