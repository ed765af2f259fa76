"""DiT (Peebles and Xie 2022, arXiv 2212.09748): a transformer of patches, whose blocks are modulated by time and class (adaLN-zero)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from difflab.networks import Network
from difflab.networks.layers import TimeEmbedding
from difflab.networks.network import BlockCondition, block_condition, zeroed


class Block(nn.Module):
    """x + gate * attention(norm(x)), then the same of an MLP; shift, scale and gate come from the condition."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        self.modulation = zeroed(nn.Linear(width, 6 * width))

    def forward(self, h: torch.Tensor, cond: BlockCondition) -> torch.Tensor:
        first, second = self.modulation(cond.vector)[:, None].chunk(2, dim=-1)
        shift, scale, gate = first.chunk(3, dim=-1)
        inside = F.layer_norm(h, h.shape[-1:]) * (1 + scale) + shift
        h = h + gate * self.attention(inside, inside, inside, need_weights=False)[0]
        shift, scale, gate = second.chunk(3, dim=-1)
        return h + gate * self.mlp(F.layer_norm(h, h.shape[-1:]) * (1 + scale) + shift)


class DiT(Network):
    """Patches of `patch` x `patch` pixels are the tokens."""

    def __init__(self, image_size, in_channels, out_channels, embedders, patch=2, width=32, depth=2, heads=2):
        super().__init__()
        self.image_size, self.in_channels, self.out_channels = image_size, in_channels, out_channels
        self.enter = nn.Conv2d(in_channels, width, patch, stride=patch)
        self.positions = nn.Parameter(0.02 * torch.randn(1, (image_size // patch) ** 2, width))
        self.time = TimeEmbedding(width, width)
        self.embedders = nn.ModuleDict({name: embedder(dim=width) for name, embedder in embedders.items()})
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.leave = zeroed(nn.ConvTranspose2d(width, out_channels, patch, stride=patch))

    def forward(self, x, time, cond):
        told = block_condition(self.time(time), self.embedders, cond, F.silu)
        h = self.enter(x)
        tokens = h.flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            tokens = block(tokens, told)
        return self.leave(tokens.transpose(1, 2).reshape(h.shape))
