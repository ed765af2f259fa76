"""Self-attention over all places of an image, and how its channels are divided into heads."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from difflab.networks.layers.norms import GroupNorm
from difflab.networks.network import zeroed
from difflab.types import attention_bit


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


class SelfAttention(nn.Module, ABC):
    """Self-attention over pixels (arXiv 2105.05233, section 3).

    h + Linear(Attention(q, k, v)) with q, k, v = Linear(GroupNorm(h)), softmax(q k^T / sqrt(head channels)) v per head. The two layouts of
    the projection's channels are equal as models, but weights trained in one are not those of the other.

    For an example of whose `identity` this layer is part the map is the identity instead of the softmax: v alone (perturbed-attention
    guidance, arXiv 2403.17377). It is asked for with the image, so that nothing of it outlives the call.

    Args:
        channels: Channels of the image.
        heads: Channels -> number of heads: `HeadCount(4)` or `HeadWidth(64)`.

    Attributes:
        place: Where it is in the network, told by it: see `difflab.types.ATTENTION_PLACES`.
    """

    def __init__(self, channels: int, heads: Callable[[int], int]):
        super().__init__()
        self.heads = heads(channels)
        self.place = 0
        self.norm = GroupNorm(channels)
        self.qkv = Pointwise(channels, 3 * channels)
        self.out = zeroed(Pointwise(channels, channels))

    @abstractmethod
    def split(self, qkv: Float[Tensor, "b n c3"]) -> tuple[Tensor, Tensor, Tensor]:
        """The projection's channels as q, k, v, each [B, N, heads, head channels]."""

    def forward(
        self, h: Float[Tensor, "b c h w"], emb: Float[Tensor, "b e"], identity: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b c h w"]:
        tokens = self.qkv(self.norm(h).to(h.dtype)).flatten(2).transpose(1, 2)
        q, k, v = (part.transpose(1, 2) for part in self.split(tokens))
        mixed = F.scaled_dot_product_attention(q, k, v)
        if identity is not None:
            here = (identity & attention_bit(self.place)) != 0
            mixed = torch.where(here[:, None, None, None], v, mixed)
        mixed = mixed.transpose(1, 2).flatten(2).transpose(1, 2).unflatten(2, h.shape[2:])
        return h + self.out(mixed)


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
