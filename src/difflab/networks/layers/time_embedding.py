"""Sinusoids of the network time and the two-layer network on top (arXiv 2006.11239; Vaswani et al. 2017, section 3.5)."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_LONGEST_PERIOD = 10_000


def sinusoids(time: Float[Tensor, " b"], dim: int) -> Float[Tensor, "b dim"]:
    """[cos(time f_0), cos(time f_1), ..., sin(time f_0), ...] with f_k = 10000^(-k / (dim // 2)), float32.

    The frequencies are computed here rather than kept as a buffer: `module.to(torch.bfloat16)` would round a buffer, and a
    rounded frequency times 999 is another time.
    """
    half = dim // 2
    frequency = torch.exp(
        -math.log(_LONGEST_PERIOD) * torch.arange(half, dtype=torch.float32, device=time.device) / half
    )
    angle = time.float()[:, None] * frequency
    return F.pad(torch.cat([angle.cos(), angle.sin()], dim=1), (0, dim % 2))


class TimeEmbedding(nn.Module):
    """Linear(SiLU(Linear(sinusoids(time)))), [B] -> [B, emb_dim].

    width    number of sinusoids
    emb_dim  of the embedding
    """

    def __init__(self, width: int, emb_dim: int):
        super().__init__()
        if width < 1:
            raise ValueError(f"width={width}: a network needs at least one channel")
        self.width = width
        self.hidden = nn.Linear(width, emb_dim)
        self.output = nn.Linear(emb_dim, emb_dim)

    def forward(self, time: Float[Tensor, " b"]) -> Float[Tensor, "b e"]:
        return self.output(F.silu(self.hidden(sinusoids(time, self.width).to(self.hidden.weight.dtype))))
