"""Blocks after each other, with their activations kept or computed again."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from difflab.networks.layers.attention import SelfAttention


class Chain(nn.ModuleList):
    """h -> block_n(... block_1(h, emb) ..., emb). Attentions are told `identity` as well, where there is one.

    gradient_checkpointing  keep only each block's input for the backward pass and compute the rest again. Gradients are those
        of the plain network, with dropout too: the masks are drawn again from the same generator state (guided-diffusion's
        own checkpointing draws new ones, and its gradients are then not the loss's)
    """

    def __init__(self, blocks: Iterable[nn.Module], gradient_checkpointing: bool):
        super().__init__(blocks)
        self.gradient_checkpointing = gradient_checkpointing

    def forward(self, h: Tensor, emb: Tensor, identity: Tensor | None = None) -> Tensor:
        recompute = self.gradient_checkpointing and torch.is_grad_enabled()
        for block in self:
            told = (emb, identity) if identity is not None and isinstance(block, SelfAttention) else (emb,)
            h = checkpoint(block, h, *told, use_reentrant=False) if recompute else block(h, *told)
        return h
