"""A residual multilayer perceptron: for points and vectors, and for whatever is small enough to be one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers import TimeEmbedding
from difflab.networks.network import BlockCondition, Network, block_condition, zeroed
from difflab.types import Condition, ImageSize, sides


class MLPBlock(nn.Module):
    """h + W_2 silu((1 + scale) W_1 norm(h) + shift), with scale and shift from time and condition (AdaGN's form, arXiv 2105.05233).

    Args:
        width: Of h.
        emb_dim: Of the vector of time and condition.
    """

    def __init__(self, width: int, emb_dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.enter = nn.Linear(width, width)
        self.modulation = nn.Linear(emb_dim, 2 * width)
        self.leave = zeroed(nn.Linear(width, width))

    def forward(self, h: Float[Tensor, "b w"], cond: BlockCondition) -> Float[Tensor, "b w"]:
        scale, shift = self.modulation(cond.vector).chunk(2, dim=1)
        return h + self.leave(F.silu((1 + scale) * self.enter(self.norm(h)) + shift))


class MLP(Network):
    """F(x, time, cond) of x [B, C, *size] taken as one vector of C prod(size) numbers.

    Args:
        image_size: Of x; [] for points and vectors.
        in_channels: Channels of x.
        out_channels: Channels of the output.
        embedders: Name -> partial(dim) of what enters with the time.
        width: Of each hidden layer.
        depth: Residual blocks.
    """

    def __init__(
        self,
        image_size: ImageSize,
        in_channels: int,
        out_channels: int,
        *,
        embedders: Mapping[str, Callable[..., nn.Module]],
        width: int = 128,
        depth: int = 3,
    ):
        super().__init__()
        if in_channels < 1 or out_channels < 1 or depth < 1:
            raise ValueError(
                f"in_channels={in_channels}, out_channels={out_channels} and depth={depth} must be at least 1"
            )
        self.image_size, self.in_channels, self.out_channels = image_size, in_channels, out_channels
        numbers = math.prod(sides(image_size))
        self.time_embedding = TimeEmbedding(width, width)
        self.embedders = nn.ModuleDict({name: embedder(dim=width) for name, embedder in embedders.items()})
        self.enter = nn.Linear(in_channels * numbers, width)
        self.blocks = nn.ModuleList(MLPBlock(width, width) for _ in range(depth))
        self.norm_out = nn.LayerNorm(width)
        self.leave = zeroed(nn.Linear(width, out_channels * numbers))

    def forward(
        self, x: Float[Tensor, "b c *size"], time: Float[Tensor, " b"], cond: Condition
    ) -> Float[Tensor, "b o *size"]:
        told = block_condition(self.time_embedding(time), self.embedders, cond, activation=F.silu)
        h = self.enter(x.flatten(1).to(self.enter.weight.dtype))
        for block in self.blocks:
            h = block(h, told)
        out: Tensor = self.leave(F.silu(self.norm_out(h)))
        return out.reshape(len(x), self.out_channels, *x.shape[2:]).to(x.dtype)
