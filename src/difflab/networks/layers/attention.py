"""Self-attention over all places of an image, and how its channels are divided into heads."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from difflab.networks.layers.norms import GroupNorm
from difflab.networks.network import BlockCondition, zeroed
from difflab.types import AttentionSite, Controls


class Pointwise(nn.Linear):
    """Linear(h[:, :, i, j]) for every pixel: [B, C, H, W] -> [B, D, H, W].

    Weights are those of a Linear, [D, C], as OpenAI's are but for an axis of length one. Computed as a convolution of one pixel, which
    leaves the image where it is: no tokens to copy out and back, and on CPUs for which torch's matrix products lag behind its
    convolutions (MKL on AMD) half the time.
    """

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        return F.conv2d(input, self.weight[:, :, None, None], self.bias)


@dataclass(frozen=True)
class HeadCount:
    """The same number of heads at every level; they get wider with the channels.

    Attributes:
        count: The number of heads.
    """

    count: int

    def __call__(self, channels: int) -> int:
        if self.count < 1 or channels % self.count:
            raise ValueError(
                f"{self.count} attention heads do not divide the {channels} channels of a level; "
                "change the number of heads, width or channel_mult, or use heads of a fixed width"
            )
        return self.count


@dataclass(frozen=True)
class HeadWidth:
    """Heads of the same number of channels at every level; there are more of them where there are more channels.

    Attributes:
        channels: Channels of a head.
    """

    channels: int

    def __call__(self, channels: int) -> int:
        if self.channels < 1 or channels % self.channels:
            raise ValueError(
                f"attention heads of {self.channels} channels do not divide the {channels} channels of a level; "
                "change the width of the heads, width or channel_mult, or use a fixed number of heads"
            )
        return channels // self.channels


class Attention(nn.Module, ABC):
    """A layer that looks around, and asks the condition's controls.

    Attributes:
        place: Where it is in the network, told by it: see `AttentionSite`.
        is_cross: Whether it looks at the tokens of the condition, not at places of the image.
    """

    place: int = 0
    is_cross: ClassVar[bool]


class SelfAttention(Attention):
    """Self-attention over pixels (arXiv 2105.05233, section 3).

    h + Linear(Attention(q, k, v)) with q, k, v = Linear(GroupNorm(h)), softmax(q k^T / sqrt(head channels)) v per head. The two layouts of
    the projection's channels are equal as models, but weights trained in one are not those of the other.

    Args:
        channels: Channels of the image.
        heads: Channels -> number of heads: `HeadCount(4)` or `HeadWidth(64)`.
    """

    is_cross = False

    def __init__(self, channels: int, heads: Callable[[int], int]):
        super().__init__()
        self.heads = heads(channels)
        self.norm = GroupNorm(channels)
        self.qkv = Pointwise(channels, 3 * channels)
        self.out = zeroed(Pointwise(channels, channels))

    @abstractmethod
    def split(self, qkv: Float[Tensor, "b n c3"]) -> tuple[Tensor, Tensor, Tensor]:
        """The projection's channels as q, k, v, each [B, N, heads, head channels]."""

    def forward(self, h: Float[Tensor, "b c *size"], emb: BlockCondition) -> Float[Tensor, "b c *size"]:
        tokens = self.qkv(self.norm(h).to(h.dtype)).flatten(2).transpose(1, 2)
        q, k, v = (part.transpose(1, 2) for part in self.split(tokens))
        site = AttentionSite(self.place, self.is_cross, tuple(h.shape[2:]), emb.t)
        mixed = attend(q, k, v, site, emb.controls)
        mixed = mixed.transpose(1, 2).flatten(2).transpose(1, 2).unflatten(2, h.shape[2:])
        return h + self.out(mixed)


class CrossAttention(Attention):
    """Attention of every pixel to the tokens of the condition (Rombach et al. 2022, arXiv 2112.10752, section 3.3).

    h + Linear(Attention(q, k, v)) with q = Linear(GroupNorm(h)) and k, v = Linear(tokens). Tokens that are masked out are not looked at. It
    begins as the identity.

    Args:
        channels: Channels of the image.
        heads: Channels -> number of heads.
        token_dim: Size of a token.
    """

    is_cross = True

    def __init__(self, channels: int, heads: Callable[[int], int], token_dim: int):
        super().__init__()
        self.heads = heads(channels)
        self.norm = GroupNorm(channels)
        self.q = Pointwise(channels, channels)
        self.kv = nn.Linear(token_dim, 2 * channels)
        self.out = zeroed(Pointwise(channels, channels))

    def forward(self, h: Float[Tensor, "b c *size"], emb: BlockCondition) -> Float[Tensor, "b c *size"]:
        if emb.tokens is None:
            raise ValueError(
                "the network has cross-attention, but no embedder of its condition gives tokens: choose one that does, or leave "
                "cross_attention out"
            )
        q = self.q(self.norm(h).to(h.dtype)).flatten(2).unflatten(1, (self.heads, -1)).transpose(2, 3)
        k, v = self.kv(emb.tokens.to(h.dtype)).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        site = AttentionSite(self.place, self.is_cross, tuple(h.shape[2:]), emb.t)
        mixed = attend(q, k, v, site, emb.controls, emb.mask)
        return h + self.out(mixed.transpose(2, 3).flatten(1, 2).unflatten(2, h.shape[2:]))


def attend(
    q: Float[Tensor, "b heads n d"],
    k: Float[Tensor, "b heads m d"],
    v: Float[Tensor, "b heads m d"],
    site: AttentionSite,
    controls: Controls,
    mask: Bool[Tensor, "b m"] | None = None,
) -> Float[Tensor, "b heads n d"]:
    """softmax(q k^T / sqrt(d)) v, the maps as the controls that concern this layer will have them.

    Args:
        q: Queries.
        k: Keys.
        v: Values.
        site: Which layer it is, and when.
        controls: Of the condition. Without one that concerns the layer this is torch's fused kernel.
        mask: Which keys are there; None for all.

    Raises:
        ValueError: The controls are those of equal shares of the batch, and it cannot be divided so.
    """
    where = None if mask is None else mask[:, None, None, :]
    if not controls or not controls.concern(site):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=where)
    if controls.shares:
        count = len(controls.shares)
        if len(q) % count:
            raise ValueError(f"attention of {len(q)} examples cannot be controlled in {count} equal shares")
        masks = [None] * count if mask is None else list(mask.chunk(count))
        times = [None] * count if site.t is None else list(site.t.chunk(count))
        parts = zip(q.chunk(count), k.chunk(count), v.chunk(count), times, controls.shares, masks, strict=True)
        return torch.cat([attend(q, k, v, site._replace(t=t), own, m) for q, k, v, t, own, m in parts])
    logits = (q.float() @ k.float().transpose(2, 3)) / math.sqrt(q.shape[-1])
    if where is not None:
        logits = logits.masked_fill(~where, -torch.inf)
    probabilities = logits.softmax(-1)
    for control in controls.own:
        if control.concerns(site):
            probabilities = control(site, probabilities)
    return probabilities.to(v.dtype) @ v


class HeadsFirstAttention(SelfAttention):
    """Channels are [heads, (q, k, v), head channels]: OpenAI's first layout, which all released models but the 64x64 one have."""

    def split(self, qkv: Float[Tensor, "b n c3"]) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = qkv.unflatten(2, (self.heads, 3, -1)).unbind(3)
        return q, k, v


class QKVFirstAttention(SelfAttention):
    """Channels are [(q, k, v), heads, head channels]: OpenAI's "new attention order"."""

    def split(self, qkv: Float[Tensor, "b n c3"]) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = qkv.unflatten(2, (3, self.heads, -1)).unbind(2)
        return q, k, v
