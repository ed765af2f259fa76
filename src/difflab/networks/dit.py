"""DiT: a transformer over the patches of an image.

Peebles and Xie 2023, "Scalable Diffusion Models with Transformers", arXiv 2212.09748.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.embeddings import TimeEmbedding
from difflab.networks.layers.residual_block import Chain
from difflab.networks.layers.token_blocks import AdaLNZero, BlockDesign
from difflab.networks.layers.tokens import PatchEmbedding, Projection, SmallProjection, patches_along, positions
from difflab.networks.network import Network, zeroed
from difflab.networks.unet import placed
from difflab.types import Condition, ImageSize

SINUSOIDS = 256
"""Of time, whatever the width."""


class DiT(Network):
    """F(x, time, cond): patches of the image become tokens, which blocks of attention and perceptron transform, and patches again.

    tokens = Linear(patch) + positions; then `depth` blocks; then norm, Linear, and the patches put together. The last layer begins at zero.

        S: width 384, depth 12, heads 6     B: 768, 12, 12     L: 1024, 24, 16     XL: 1152, 28, 16     each with patches of 8, 4 or 2

    Positions are fixed, and computed for the size that an image has: other sizes than that of the training work too, if the patch divides
    them.

    Args:
        image_size: Side of square training images, or [H, W].
        in_channels: Channels of the image.
        out_channels: Channels of the result: those of the image, and as many again for a learned variance.
        embedders: Name -> (dim=) -> module(cond) -> vector [B, dim], or `Embedding` with tokens [B, N, dim] for designs that read such.
        block: How time and condition enter: AdaLNZero, AdaLN, CrossAttended, InContext.
        patch: Side of a patch.
        width: Numbers of a token; a multiple of 4 and of `heads`.
        depth: Blocks.
        heads: Heads of each attention.
        mlp_ratio: The hidden layers of the perceptrons are so many times as wide as a token.
        gradient_checkpointing: Less memory, about a third more computation, the same gradients.
    """

    # multiples of 24 suit 6, 12, 16 and fewer heads in one way or another
    sizes: ClassVar[Mapping[str, Sequence[int]]] = {
        "width": (24, 48, 96, 192, 384, 32, 64, 128, 16, 8, 4),
        "depth": (1,),
    }

    def __init__(
        self,
        image_size: ImageSize,
        in_channels: int,
        out_channels: int,
        *,
        embedders: Mapping[str, Callable[..., nn.Module]],
        block: BlockDesign = AdaLNZero(),  # noqa: B008 - it has no state
        patch: int = 2,
        width: int = 384,
        depth: int = 12,
        heads: int = 6,
        mlp_ratio: float = 4.0,
        gradient_checkpointing: bool = False,
    ):
        super().__init__()
        if in_channels < 1 or out_channels < 1 or depth < 1:
            raise ValueError(
                f"in_channels={in_channels}, out_channels={out_channels} and depth={depth} must be at least 1"
            )
        if width < 4 or width % 4 or heads < 1 or width % heads:
            raise ValueError(
                f"network.width={width} with network.heads={heads}: the width of a token must be a multiple of 4, for its position, and of "
                "the number of heads"
            )
        if mlp_ratio * width < 1:
            raise ValueError(f"network.mlp_ratio={mlp_ratio} leaves no hidden layer; DiT's is 4")
        patches_along(image_size, patch)
        self.image_size, self.in_channels, self.out_channels = image_size, in_channels, out_channels
        self.patch, self.width, self.design = patch, width, block
        self.enter = PatchEmbedding(in_channels, width, patch)
        self.time_embedding = TimeEmbedding(SINUSOIDS, width, SmallProjection)
        self.embedders = nn.ModuleDict({name: embedder(dim=width) for name, embedder in embedders.items()})
        self.blocks = nn.ModuleList(
            Chain([block.block(width, heads, mlp_ratio)], gradient_checkpointing) for _ in range(depth)
        )
        middle = depth // 2
        self.attention_places = placed([self.blocks[:middle], self.blocks[middle], self.blocks[middle + 1 :]])
        self.norm_out = block.last_norm(width)
        self.leave = zeroed(Projection(width, patch**2 * out_channels))

    def forward(
        self, x: Float[Tensor, "b c h w"], time: Float[Tensor, " b"], cond: Condition
    ) -> Float[Tensor, "b o h w"]:
        size = patches_along(list(x.shape[2:]), self.patch)
        emb = self.design.told(self.time_embedding(time), self.embedders, cond)
        h = self.enter(x.to(self.leave.weight.dtype))
        h = self.design.enter(h + positions(size, self.width, x.device).to(h.dtype), emb)
        for block in self.blocks:
            h = block(h, emb)
        h = self.leave(self.norm_out(self.design.leave(h, size), emb))
        h = h.unflatten(3, (self.patch, self.patch, self.out_channels))  # rows, columns, channels of a patch
        return h.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3).to(x.dtype)
