"""Self-attention over pixels (arXiv 2105.05233, section 3). The two layouts of the projection's channels are equal as
models, but weights trained in one are not those of the other."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from difflab.networks.layers.group_norm import GroupNorm
from difflab.networks.layers.pointwise import Pointwise
from difflab.networks.layers.zero import zeroed
from difflab.types import attention_bit


class SelfAttention(nn.Module, ABC):
    """h + Linear(Attention(q, k, v)) with q, k, v = Linear(GroupNorm(h)), softmax(q k^T / sqrt(head channels)) v per head.

    For an example of whose `identity` this layer is part the map is the identity instead of the softmax: v alone (perturbed-attention
    guidance, arXiv 2403.17377). It is asked for with the image, so that nothing of it outlives the call.

    channels  of the image
    heads     channels -> number of heads: `HeadCount(4)` or `HeadWidth(64)`
    place     in the network, told by it: see `difflab.types.ATTENTION_PLACES`
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
