"""The parts of the networks, swapped by name in a configuration."""

from difflab.networks.layers.attention import (
    CrossAttention,
    HeadCount,
    HeadsFirstAttention,
    HeadWidth,
    Pointwise,
    QKVFirstAttention,
    SelfAttention,
)
from difflab.networks.layers.embeddings import LabelEmbedding, LevelEmbedding, NullableLabelEmbedding, TimeEmbedding
from difflab.networks.layers.instance_norms import AdaptiveInstanceNorm
from difflab.networks.layers.norms import AdaptiveBatchNorm, AdaptiveGroupNorm, AdditiveGroupNorm, BatchNorm, GroupNorm
from difflab.networks.layers.pooling import (
    AttentionPooling,
    AveragePooling,
    NormalizedSpatialPooling,
    Pooling,
    SpatialPooling,
)
from difflab.networks.layers.resample import (
    BicubicEnlargement,
    BigGANResample,
    BilinearEnlargement,
    ConvResample,
    Enlargement,
    PoolResample,
    Resample,
    TransposedResample,
)
from difflab.networks.layers.residual_block import ResidualBlock
from difflab.networks.layers.token_blocks import AdaLN, AdaLNZero, BlockDesign, CrossAttended, InContext
from difflab.networks.layers.trunk import Trunk

__all__ = [
    "AdaLN",
    "AdaLNZero",
    "AdaptiveBatchNorm",
    "AdaptiveGroupNorm",
    "AdaptiveInstanceNorm",
    "AdditiveGroupNorm",
    "AttentionPooling",
    "AveragePooling",
    "BatchNorm",
    "BicubicEnlargement",
    "BigGANResample",
    "BilinearEnlargement",
    "BlockDesign",
    "ConvResample",
    "CrossAttended",
    "CrossAttention",
    "Enlargement",
    "GroupNorm",
    "HeadCount",
    "HeadWidth",
    "HeadsFirstAttention",
    "InContext",
    "LabelEmbedding",
    "LevelEmbedding",
    "NormalizedSpatialPooling",
    "NullableLabelEmbedding",
    "Pointwise",
    "PoolResample",
    "Pooling",
    "QKVFirstAttention",
    "Resample",
    "ResidualBlock",
    "SelfAttention",
    "SpatialPooling",
    "TimeEmbedding",
    "TransposedResample",
    "Trunk",
]
