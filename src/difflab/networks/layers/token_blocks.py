"""How the blocks of a transformer are told of time and condition: the four designs of DiT (arXiv 2212.09748, section 3.2)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.tokens import (
    FeedForward,
    Projection,
    TokenAttention,
    TokenCrossAttention,
    TokenNorm,
    normalised,
)
from difflab.networks.network import BlockCondition, block_condition, in_sequence, zeroed
from difflab.types import Condition, Embedding


class BlockDesign(ABC):
    """What the blocks of a transformer are made of, and how they are told of time and condition."""

    @abstractmethod
    def told(self, time: Float[Tensor, "b d"], embedders: nn.ModuleDict, cond: Condition) -> BlockCondition:
        """What each block is handed.

        Args:
            time: The embedding of time, as wide as a token.
            embedders: Name -> module(cond) -> vector [B, D] or `Embedding`.
            cond: The condition.
        """

    @abstractmethod
    def block(self, width: int, heads: int, ratio: float) -> nn.Module:
        """A block (tokens, what it is told) -> tokens.

        Args:
            width: Size of a token.
            heads: Heads of its attention.
            ratio: The hidden layer of its perceptron is so many times as wide.
        """

    @abstractmethod
    def last_norm(self, width: int) -> nn.Module:
        """The norm (tokens, what it is told) -> tokens before the patches are read off."""

    @abstractmethod
    def enter(self, h: Float[Tensor, "b h w d"], emb: BlockCondition) -> Float[Tensor, "b *n d"]:
        """The tokens that the first block is given."""

    @abstractmethod
    def leave(self, h: Float[Tensor, "b *n d"], size: Sequence[int]) -> Float[Tensor, "b h w d"]:
        """Those of the image, [B, H, W, D], among the tokens that the last block returns."""


class Modulation(nn.Module):
    """Linear(vector) in `count` parts, each to be broadcast over the places of the image. It begins at zero.

    Args:
        width: Of the vector and of each part.
        count: How many parts there are.
    """

    def __init__(self, width: int, count: int):
        super().__init__()
        self.count = count
        self.linear = zeroed(Projection(width, count * width))

    def forward(self, emb: BlockCondition, axes: int) -> Sequence[Tensor]:
        parts = self.linear(emb.vector)
        return parts.reshape(len(parts), *[1] * axes, -1).chunk(self.count, dim=-1)


def modulated(h: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """(1 + scale) norm(h) + shift."""
    return torch.addcmul(shift, normalised(h), 1 + scale)


class ModulatedNorm(nn.Module):
    """(1 + scale) norm(h) + shift, with shift and scale from time and condition.

    Args:
        width: Size of a token.
    """

    def __init__(self, width: int):
        super().__init__()
        self.modulation = Modulation(width, 2)

    def forward(self, h: Float[Tensor, "b *size d"], emb: BlockCondition) -> Float[Tensor, "b *size d"]:
        return modulated(h, *self.modulation(emb, h.ndim - 2))


class PlainNorm(nn.Module):
    """The norm of a token, whatever it is told.

    Args:
        width: Size of a token.
    """

    def __init__(self, width: int):
        super().__init__()
        self.norm = TokenNorm(width)

    def forward(self, h: Float[Tensor, "b *size d"], emb: BlockCondition) -> Float[Tensor, "b *size d"]:
        return self.norm(h)


class AdaLNZeroBlock(nn.Module):
    """h + gate_1 attention(modulated(h)), then h + gate_2 mlp(modulated(h)); shifts, scales and gates begin at zero.

    Args:
        width: Size of a token.
        heads: Heads of the attention.
        ratio: Of the perceptron.
    """

    def __init__(self, width: int, heads: int, ratio: float):
        super().__init__()
        self.attention = TokenAttention(width, heads)
        self.mlp = FeedForward(width, ratio)
        self.modulation = Modulation(width, 6)

    def forward(self, h: Float[Tensor, "b *size d"], emb: BlockCondition) -> Float[Tensor, "b *size d"]:
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = self.modulation(emb, h.ndim - 2)
        h = torch.addcmul(h, gate, self.attention(modulated(h, shift, scale), emb))
        return torch.addcmul(h, gate_mlp, self.mlp(modulated(h, shift_mlp, scale_mlp)))


class AdaLNBlock(nn.Module):
    """h + attention(modulated(h)), then h + mlp(modulated(h)).

    Args:
        width: Size of a token.
        heads: Heads of the attention.
        ratio: Of the perceptron.
    """

    def __init__(self, width: int, heads: int, ratio: float):
        super().__init__()
        self.attention = TokenAttention(width, heads)
        self.mlp = FeedForward(width, ratio)
        self.modulation = Modulation(width, 4)

    def forward(self, h: Float[Tensor, "b *size d"], emb: BlockCondition) -> Float[Tensor, "b *size d"]:
        shift, scale, shift_mlp, scale_mlp = self.modulation(emb, h.ndim - 2)
        h = h + self.attention(modulated(h, shift, scale), emb)
        return h + self.mlp(modulated(h, shift_mlp, scale_mlp))


class CrossAttentionBlock(nn.Module):
    """h + attention(norm(h)), h + attention(norm(h), tokens of the condition), h + mlp(norm(h)).

    Args:
        width: Size of a token.
        heads: Heads of both attentions.
        ratio: Of the perceptron.
    """

    def __init__(self, width: int, heads: int, ratio: float):
        super().__init__()
        self.norm_attention, self.norm_cross, self.norm_mlp = TokenNorm(width), TokenNorm(width), TokenNorm(width)
        self.attention = TokenAttention(width, heads)
        self.cross = TokenCrossAttention(width, heads)
        self.mlp = FeedForward(width, ratio)

    def forward(self, h: Float[Tensor, "b *size d"], emb: BlockCondition) -> Float[Tensor, "b *size d"]:
        h = h + self.attention(self.norm_attention(h), emb)
        h = h + self.cross(self.norm_cross(h), emb)
        return h + self.mlp(self.norm_mlp(h))


class InContextBlock(nn.Module):
    """h + attention(norm(h)), then h + mlp(norm(h)), of a sequence at whose end the tokens of the condition stand.

    Args:
        width: Size of a token.
        heads: Heads of the attention.
        ratio: Of the perceptron.
    """

    def __init__(self, width: int, heads: int, ratio: float):
        super().__init__()
        self.norm_attention, self.norm_mlp = TokenNorm(width), TokenNorm(width)
        self.attention = TokenAttention(width, heads)
        self.mlp = FeedForward(width, ratio)

    def forward(self, h: Float[Tensor, "b n d"], emb: BlockCondition) -> Float[Tensor, "b n d"]:
        mask = None
        if emb.mask is not None:
            mask = F.pad(emb.mask, (h.shape[1] - emb.mask.shape[1], 0), value=True)
        h = h + self.attention(self.norm_attention(h), emb, mask)
        return h + self.mlp(self.norm_mlp(h))


class _ByNorms(BlockDesign):
    """The sum of the vectors of time and condition moves the norms; tokens of the condition are not read."""

    def told(self, time: Tensor, embedders: nn.ModuleDict, cond: Condition) -> BlockCondition:
        told = block_condition(time, embedders, cond, activation=F.silu)
        if told.tokens is not None:
            raise ValueError(
                f"network/block: {type(self).__name__} reads vectors, and an embedder of the condition gives tokens: choose "
                "network/block=cross_attention or in_context"
            )
        return told

    def last_norm(self, width: int) -> nn.Module:
        return ModulatedNorm(width)

    def enter(self, h: Tensor, emb: BlockCondition) -> Tensor:
        return h

    def leave(self, h: Tensor, size: Sequence[int]) -> Tensor:
        return h


class AdaLNZero(_ByNorms):
    """Adaptive layer norm with gates: every block begins as the identity. The paper's choice, and that of all released models."""

    def block(self, width: int, heads: int, ratio: float) -> nn.Module:
        return AdaLNZeroBlock(width, heads, ratio)


class AdaLN(_ByNorms):
    """Adaptive layer norm: shift and scale of each norm follow from time and condition."""

    def block(self, width: int, heads: int, ratio: float) -> nn.Module:
        return AdaLNBlock(width, heads, ratio)


def _as_tokens(time: Tensor, embedders: nn.ModuleDict, cond: Condition) -> BlockCondition:
    """Time and each vector of the condition as one token, then the condition's own tokens."""
    found = [Embedding(time)]
    for embedder in embedders.values():
        found.append(cond.embedded(embedder))
    vectors = [one.vector for one in found if one.vector is not None]
    singles = torch.stack([vector.expand_as(time) for vector in vectors], dim=1)
    sequences = [Embedding(tokens=singles), *(one for one in found if one.tokens is not None)]
    if wrong := [one.tokens for one in sequences if one.tokens is not None and one.tokens.shape[-1] != time.shape[-1]]:
        raise ValueError(
            f"tokens of the condition have {wrong[0].shape[-1]} numbers, and those of the transformer {time.shape[-1]}: have the "
            "embedder give as many (its argument `dim` says how many)"
        )
    return BlockCondition(time, *in_sequence(sequences), cond.controls, cond.t)


class _ByTokens(BlockDesign):
    """Time and condition are tokens; norms have gains and shifts of their own."""

    def told(self, time: Tensor, embedders: nn.ModuleDict, cond: Condition) -> BlockCondition:
        return _as_tokens(time, embedders, cond)

    def last_norm(self, width: int) -> nn.Module:
        return PlainNorm(width)


class CrossAttended(_ByTokens):
    """Each block looks at the tokens of time and condition by attention of its own, after that over the image."""

    def block(self, width: int, heads: int, ratio: float) -> nn.Module:
        return CrossAttentionBlock(width, heads, ratio)

    def enter(self, h: Tensor, emb: BlockCondition) -> Tensor:
        return h

    def leave(self, h: Tensor, size: Sequence[int]) -> Tensor:
        return h


class InContext(_ByTokens):
    """The tokens of time and condition stand beside those of the image in one sequence, and are taken away after the last block."""

    def block(self, width: int, heads: int, ratio: float) -> nn.Module:
        return InContextBlock(width, heads, ratio)

    def enter(self, h: Tensor, emb: BlockCondition) -> Tensor:
        assert emb.tokens is not None
        return torch.cat([h.flatten(1, 2), emb.tokens.to(h)], dim=1)

    def leave(self, h: Tensor, size: Sequence[int]) -> Tensor:
        return h[:, : size[0] * size[1]].unflatten(1, tuple(size))
