"""An image -> one vector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.norms import GroupNorm
from difflab.networks.network import zeroed


class Pooling(nn.Module, ABC):
    """The images of all depths of a `Trunk`, the deepest last -> logits.

    Made from (features, resolution, out_channels): the channels of each image, the size of the last one, and the number of classes.
    """

    @abstractmethod
    def forward(self, images: Sequence[Tensor]) -> Float[Tensor, "b o"]:
        """The logits, [B, out_channels]."""


class AttentionPooling(Pooling):
    """Attention of the mean: the logits are what the mean's token receives in one attention over all tokens.

    Tokens are the mean and all pixels of SiLU(GroupNorm(h)) plus a learned position.

    Args:
        features: The channels of each image.
        resolution: The size of the last one.
        out_channels: The number of classes.
        heads: Channels -> number of heads: `HeadCount(4)` or `HeadWidth(64)`.
    """

    def __init__(self, features: Sequence[int], resolution: int, out_channels: int, heads: Callable[[int], int]):
        super().__init__()
        channels = features[-1]
        self.heads = heads(channels)
        self.norm = GroupNorm(channels)
        self.position = nn.Parameter(torch.empty(channels, resolution**2 + 1))
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, out_channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.position, std=self.position.shape[0] ** -0.5)

    def forward(self, images: Sequence[Tensor]) -> Float[Tensor, "b o"]:
        h = images[-1]
        pixels = F.silu(self.norm(h)).flatten(2)
        tokens = torch.cat([pixels.mean(dim=2, keepdim=True), pixels], dim=2) + self.position
        qkv = self.qkv(tokens.transpose(1, 2).to(h.dtype)).unflatten(2, (3, self.heads, -1))
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        mixed = F.scaled_dot_product_attention(q[:, :, :1], k, v)
        return self.out(mixed.flatten(1))


class AveragePooling(Pooling):
    """Linear(mean over pixels of SiLU(GroupNorm(h))), h the last image; the linear layer starts at zero."""

    def __init__(self, features: Sequence[int], resolution: int, out_channels: int):
        super().__init__()
        self.norm = GroupNorm(features[-1])
        self.out = zeroed(nn.Linear(features[-1], out_channels))

    def forward(self, images: Sequence[Tensor]) -> Float[Tensor, "b o"]:
        h = images[-1]
        return self.out(F.silu(self.norm(h)).mean(dim=(2, 3)).to(h.dtype))


def _means(images: Sequence[Tensor]) -> Tensor:
    return torch.cat([h.mean(dim=(2, 3)) for h in images], dim=1)


class SpatialPooling(Pooling):
    """Linear(ReLU(Linear(means of all images)))."""

    def __init__(self, features: Sequence[int], resolution: int, out_channels: int, hidden: int = 2048):
        super().__init__()
        self.hidden = nn.Linear(sum(features), hidden)
        self.out = nn.Linear(hidden, out_channels)

    def forward(self, images: Sequence[Tensor]) -> Float[Tensor, "b o"]:
        return self.out(F.relu(self.hidden(_means(images))))


class NormalizedSpatialPooling(Pooling):
    """Linear(SiLU(GroupNorm(Linear(means of all images))))."""

    def __init__(self, features: Sequence[int], resolution: int, out_channels: int, hidden: int = 2048):
        super().__init__()
        self.hidden = nn.Linear(sum(features), hidden)
        self.norm = GroupNorm(hidden)
        self.out = nn.Linear(hidden, out_channels)

    def forward(self, images: Sequence[Tensor]) -> Float[Tensor, "b o"]:
        h = self.hidden(_means(images))
        return self.out(F.silu(self.norm(h)).to(h.dtype))
