"""The noisy classifier of ADM: the contracting half of its UNet and a pooling (arXiv 2105.05233, section 4)."""

from collections.abc import Callable, Sequence
from functools import partial

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.embeddings import TimeEmbedding
from difflab.networks.layers.pooling import Pooling
from difflab.networks.layers.resample import Resample
from difflab.networks.layers.residual_block import ResidualBlock
from difflab.networks.layers.trunk import Trunk
from difflab.networks.network import BlockCondition, Network
from difflab.networks.unet import EMBEDDING_MULTIPLE
from difflab.types import Condition, ImageSize


class Encoder(Network):
    """The noisy classifier's network F(x_t, time) -> logits [B, out_channels].

    The condition is what it is asked for: it may be given, as to every network, but is not read.

    Args:
        image_size: Side of square images, or [H, W].
        in_channels: Channels of the image.
        out_channels: Number of classes.
        norm: As of `UNet`.
        resample: As of `UNet`.
        attention: As of `UNet`.
        pooling: (features, resolution, out_channels) -> module(images) -> logits: AttentionPooling, AveragePooling, SpatialPooling,
            NormalizedSpatialPooling.
        width: As of `UNet`.
        channel_mult: As of `UNet`.
        depth: As of `UNet`.
        attention_resolutions: As of `UNet`.
        dropout: As of `UNet`.
        gradient_checkpointing: As of `UNet`.
    """

    def __init__(
        self,
        image_size: ImageSize,
        in_channels: int,
        out_channels: int,
        *,
        norm: Callable[[int, int], nn.Module],
        resample: Resample,
        attention: Callable[[int], nn.Module],
        pooling: Callable[[Sequence[int], int, int], Pooling],
        width: int = 128,
        channel_mult: Sequence[float] = (1, 2, 3, 4),
        depth: int = 2,
        attention_resolutions: Sequence[int] = (32, 16, 8),
        dropout: float = 0.0,
        gradient_checkpointing: bool = False,
    ):
        super().__init__()
        if out_channels < 2:
            raise ValueError(
                f"a classifier needs two classes to tell apart, but the data have {out_channels or 'none'}: choose data with classes, "
                "such as data=digits, or tell the model of those that they have by data.num_classes"
            )
        self.image_size, self.in_channels, self.out_channels = image_size, in_channels, out_channels
        emb_dim = EMBEDDING_MULTIPLE * width
        self.time_embedding = TimeEmbedding(width, emb_dim)
        self.trunk = Trunk(
            image_size,
            in_channels,
            width,
            channel_mult,
            depth,
            attention_resolutions,
            partial(ResidualBlock, emb_dim=emb_dim, norm=norm, dropout=dropout),
            attention,
            resample,
            gradient_checkpointing,
        )
        self.pooling = pooling(self.trunk.features, self.trunk.resolutions[-1], out_channels)

    def forward(
        self, x: Float[Tensor, "b c h w"], time: Float[Tensor, " b"], cond: Condition | None = None
    ) -> Float[Tensor, "b o"]:
        emb = BlockCondition(F.silu(self.time_embedding(time)))
        return self.pooling(self.trunk(x.to(self.trunk.conv_in.weight.dtype), emb)).to(x.dtype)
