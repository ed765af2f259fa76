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
from difflab.networks.layers.fir import DDPMResample, FIRConvResample, FIRResample
from difflab.networks.layers.instance_norms import AdaptiveInstanceNorm
from difflab.networks.layers.noise_features import FourierFeatures, NoiseFeatures, SinusoidFeatures
from difflab.networks.layers.norms import AdaptiveBatchNorm, AdaptiveGroupNorm, AdditiveGroupNorm, BatchNorm, GroupNorm
from difflab.networks.layers.pooling import (
    AttentionPooling,
    AveragePooling,
    NormalizedSpatialPooling,
    Pooling,
    SpatialPooling,
)
from difflab.networks.layers.progressive import (
    JoinedSkipInput,
    NoProgressiveInput,
    NoProgressiveOutput,
    ProgressiveInput,
    ProgressiveOutput,
    ResidualInput,
    ResidualOutput,
    SkipInput,
    SkipOutput,
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
    "DDPMResample",
    "Enlargement",
    "FIRConvResample",
    "FIRResample",
    "FourierFeatures",
    "GroupNorm",
    "HeadCount",
    "HeadWidth",
    "HeadsFirstAttention",
    "InContext",
    "JoinedSkipInput",
    "LabelEmbedding",
    "LevelEmbedding",
    "NoProgressiveInput",
    "NoProgressiveOutput",
    "NoiseFeatures",
    "NormalizedSpatialPooling",
    "NullableLabelEmbedding",
    "Pointwise",
    "PoolResample",
    "Pooling",
    "ProgressiveInput",
    "ProgressiveOutput",
    "QKVFirstAttention",
    "Resample",
    "ResidualBlock",
    "ResidualInput",
    "ResidualOutput",
    "SelfAttention",
    "SinusoidFeatures",
    "SkipInput",
    "SkipOutput",
    "SpatialPooling",
    "TimeEmbedding",
    "TransposedResample",
    "Trunk",
]
