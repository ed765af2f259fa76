"""The parts of the networks, swapped by name in a configuration."""

from difflab.networks.layers.adaptive_group_norm import AdaptiveGroupNorm
from difflab.networks.layers.additive_group_norm import AdditiveGroupNorm
from difflab.networks.layers.attention import HeadsFirstAttention, QKVFirstAttention, SelfAttention
from difflab.networks.layers.attention_pooling import AttentionPooling
from difflab.networks.layers.average_pooling import AveragePooling
from difflab.networks.layers.biggan_resample import BigGANResample
from difflab.networks.layers.conv_resample import ConvResample
from difflab.networks.layers.enlargement import BicubicEnlargement, BilinearEnlargement, Enlargement
from difflab.networks.layers.group_norm import GroupNorm
from difflab.networks.layers.heads import HeadCount, HeadWidth
from difflab.networks.layers.label_embedding import LabelEmbedding, NullableLabelEmbedding
from difflab.networks.layers.level_embedding import LevelEmbedding
from difflab.networks.layers.pointwise import Pointwise
from difflab.networks.layers.pool_resample import PoolResample
from difflab.networks.layers.pooling import Pooling
from difflab.networks.layers.resample import Resample
from difflab.networks.layers.residual_block import ResidualBlock
from difflab.networks.layers.spatial_pooling import NormalizedSpatialPooling, SpatialPooling
from difflab.networks.layers.time_embedding import TimeEmbedding
from difflab.networks.layers.trunk import Trunk

__all__ = [
    "AdaptiveGroupNorm",
    "AdditiveGroupNorm",
    "AttentionPooling",
    "AveragePooling",
    "BicubicEnlargement",
    "BigGANResample",
    "BilinearEnlargement",
    "ConvResample",
    "Enlargement",
    "GroupNorm",
    "HeadCount",
    "HeadWidth",
    "HeadsFirstAttention",
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
    "Trunk",
]
