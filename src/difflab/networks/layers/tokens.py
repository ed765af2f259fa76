"""Layers of a transformer over the patches of an image: positions, patches, attention, and the perceptron after it.

Tokens are [B, *size, D]: features [B, H, W, D] of patches where they lie, or a sequence [B, N, D]. Weights begin as in DiT's code: uniform
with the variance 2 / (inputs + outputs) of Glorot and Bengio 2010, biases at zero.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.attention import Attention, HeadCount, attend
from difflab.networks.network import BlockCondition
from difflab.types import AttentionSite, ImageSize, sides

_LONGEST_PERIOD = 10_000
NORM_EPS = 1e-6
"""Added to the variance by the norms of DiT; torch's own default is ten times as large."""


def positions(size: Sequence[int], dim: int, device: torch.device) -> Float[Tensor, "h w dim"]:
    """[sin(w f), cos(w f), sin(h f), cos(h f)] of each place (h, w), with f_k = 10000^(-4 k / dim), float64 (DiT, section 3.2).

    Column before row is the order of the released models. They are computed where they are needed, hence for images of any size, and
    nothing that follows from no weight is stored.

    Args:
        size: Patches along each of the two axes.
        dim: A multiple of 4.
        device: Where they are wanted.
    """
    quarter = dim // 4
    exponent = torch.arange(quarter, dtype=torch.float64, device=device) / quarter
    frequency = torch.exp(-math.log(_LONGEST_PERIOD) * exponent)
    rows, columns = (torch.arange(side, dtype=torch.float64, device=device)[:, None] * frequency for side in size)
    row = torch.cat([rows.sin(), rows.cos()], dim=1)[:, None].expand(-1, size[1], -1)
    column = torch.cat([columns.sin(), columns.cos()], dim=1)[None].expand(size[0], -1, -1)
    return torch.cat([column, row], dim=2)


def patches_along(image_size: ImageSize, patch: int) -> tuple[int, int]:
    """How many patches an image has along its height and width.

    Raises:
        ValueError: The patch does not divide them, or these are no images.
    """
    axes = sides(image_size)
    if len(axes) != 2:
        raise ValueError(
            f"image_size={list(axes)} has {len(axes)} axes, and patches of images need two, [H, W]: choose a network for such data "
            "(network=mlp takes any)"
        )
    if patch < 1 or any(side < patch or side % patch for side in axes):
        raise ValueError(
            f"images of {axes[0]} x {axes[1]} pixels cannot be cut into patches of {patch} x {patch}: network.patch must divide both"
        )
    return axes[0] // patch, axes[1] // patch


class Projection(nn.Linear):
    """A linear layer that begins as DiT's do."""

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class SmallProjection(nn.Linear):
    """A linear layer whose weights begin with a standard deviation of 0.02, as those of DiT's embedding of time."""

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class PatchEmbedding(nn.Conv2d):
    """Linear(patch), [B, C, H, W] -> [B, H / patch, W / patch, D].

    Args:
        channels: Of the image.
        width: D.
        patch: Side of a patch.
    """

    def __init__(self, channels: int, width: int, patch: int):
        super().__init__(channels, width, patch, stride=patch)

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight.view(len(self.weight), -1))
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b i j d"]:
        return super().forward(input).permute(0, 2, 3, 1)


def normalised(
    h: Float[Tensor, "b *size d"], weight: Tensor | None = None, bias: Tensor | None = None
) -> Float[Tensor, "b *size d"]:
    """(h - mean) / std of each token, computed in float32 at least and returned in the type of h."""
    wide = torch.promote_types(h.dtype, torch.float32)
    gain, shift = (None if value is None else value.to(wide) for value in (weight, bias))
    return F.layer_norm(h.to(wide), h.shape[-1:], gain, shift, NORM_EPS).to(h.dtype)


class TokenNorm(nn.Module):
    """The norm of each token with a learned gain and shift.

    Args:
        width: Size of a token.
    """

    def __init__(self, width: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, h: Float[Tensor, "b *size d"]) -> Float[Tensor, "b *size d"]:
        return normalised(h, self.weight, self.bias)


class TokenAttention(Attention):
    """Linear(Attention(q, k, v)) with q, k, v = Linear(h), over all places; the norm and the sum are the block's.

    Args:
        width: Size of a token.
        heads: Number of heads, which divides it.
    """

    is_cross = False

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = HeadCount(heads)(width)
        self.qkv = Projection(width, 3 * width)
        self.out = Projection(width, width)

    def forward(
        self, h: Float[Tensor, "b *size d"], emb: BlockCondition, mask: Tensor | None = None
    ) -> Float[Tensor, "b *size d"]:
        size = tuple(h.shape[1:-1])
        q, k, v = self.qkv(h).flatten(1, -2).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        site = AttentionSite(self.place, self.is_cross, size, emb.t)
        mixed = attend(q, k, v, site, emb.controls, mask)
        return self.out(mixed.transpose(1, 2).flatten(2).unflatten(1, size))


class TokenCrossAttention(Attention):
    """Linear(Attention(q, k, v)) with q = Linear(h) and k, v = Linear(tokens of the condition).

    Args:
        width: Size of a token of the image, and of the condition.
        heads: Number of heads, which divides it.
    """

    is_cross = True

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = HeadCount(heads)(width)
        self.q = Projection(width, width)
        self.kv = Projection(width, 2 * width)
        self.out = Projection(width, width)

    def forward(self, h: Float[Tensor, "b *size d"], emb: BlockCondition) -> Float[Tensor, "b *size d"]:
        assert emb.tokens is not None
        size = tuple(h.shape[1:-1])
        q = self.q(h).flatten(1, -2).unflatten(2, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(emb.tokens.to(h.dtype)).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        site = AttentionSite(self.place, self.is_cross, size, emb.t)
        mixed = attend(q, k, v, site, emb.controls, emb.mask)
        return self.out(mixed.transpose(1, 2).flatten(2).unflatten(1, size))


class FeedForward(nn.Module):
    """Linear(GELU(Linear(h))) of each token, GELU by its approximation with tanh.

    Args:
        width: Size of a token.
        ratio: The hidden layer is so many times as wide.
    """

    def __init__(self, width: int, ratio: float):
        super().__init__()
        self.hidden = Projection(width, int(ratio * width))
        self.output = Projection(int(ratio * width), width)

    def forward(self, h: Float[Tensor, "b *size d"]) -> Float[Tensor, "b *size d"]:
        return self.output(F.gelu(self.hidden(h), approximate="tanh"))
