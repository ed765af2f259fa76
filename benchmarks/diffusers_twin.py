"""diffusers' UNet2DModel that is a UNet of ours: the same layers with the same weights, so the same images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from difflab.networks import UNet
from difflab.networks.layers.attention import SelfAttention
from difflab.networks.layers.resample import ConvResample
from difflab.networks.layers.residual_block import ResidualBlock


def twin(network: UNet, depth: int) -> UNet2DModel:
    """The twin of a UNet with AdditiveGroupNorm, ConvResample, HeadsFirstAttention with one width of heads, and label embedding or none.

    depth   residual blocks per level of the network
    """
    trunk = network.trunk
    attended = [size in trunk.attention_resolutions for size in trunk.resolutions]
    ours = _of(network.modules(), SelfAttention)
    label: Any = dict(network.embedders.items()).get("label")
    theirs: Any = UNet2DModel(
        sample_size=network.image_size,
        in_channels=network.in_channels,
        out_channels=network.out_channels,
        block_out_channels=tuple(trunk.channels),
        layers_per_block=depth,
        down_block_types=tuple("AttnDownBlock2D" if here else "DownBlock2D" for here in attended),
        up_block_types=tuple("AttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attended)),
        attention_head_dim=ours[0].out.weight.shape[0] // ours[0].heads,
        num_class_embeds=None if label is None else len(label.weight),
    )
    with torch.no_grad():
        for target, source in _pairs(theirs, network):
            target.copy_(source.reshape(target.shape))
        if label is not None:
            theirs.class_embedding.weight.copy_(label.weight)
    return theirs


def _pairs(theirs: Any, network: UNet) -> Iterator[tuple[Tensor, Tensor]]:
    """(parameter of theirs, that of ours), but for the classes."""
    yield from _alike(theirs.conv_in, network.trunk.conv_in)
    yield from _alike(theirs.time_embedding.linear_1, network.time_embedding.hidden)
    yield from _alike(theirs.time_embedding.linear_2, network.time_embedding.output)
    yield from _alike(theirs.conv_norm_out, network.norm_out)
    yield from _alike(theirs.conv_out, network.conv_out)
    # in the order in which images pass; they register the middle last
    passed = [m for part in (theirs.down_blocks, theirs.mid_block, theirs.up_blocks) for m in part.modules()]
    mine = list(network.modules())
    for block, own in zip(_of(passed, ResnetBlock2D), _of(mine, ResidualBlock), strict=True):
        yield from _alike(block.norm1, own.norm_in)
        yield from _alike(block.conv1, own.conv_in)
        yield from _alike(block.time_emb_proj, own.norm_out.linear)
        yield from _alike(block.norm2, own.norm_out.norm)
        yield from _alike(block.conv2, own.conv_out)
        if block.conv_shortcut is not None:
            yield from _alike(block.conv_shortcut, own.skip)
    for attention, own in zip(_of(passed, Attention), _of(mine, SelfAttention), strict=True):
        yield from _alike(attention.group_norm, own.norm)
        yield from _alike(attention.to_out[0], own.out)
        for name in ("weight", "bias"):
            parts = getattr(own.qkv, name).unflatten(0, (own.heads, 3, -1)).unbind(1)
            for projection, part in zip((attention.to_q, attention.to_k, attention.to_v), parts, strict=True):
                yield getattr(projection, name), part
    own_scales = [m for m in mine if type(m).__module__ == ConvResample.__module__]
    for scale, own in zip(_of(passed, (Downsample2D, Upsample2D)), own_scales, strict=True):
        yield from _alike(scale.conv, own.conv)


def _alike(theirs: Any, ours: Any) -> Iterator[tuple[Tensor, Tensor]]:
    yield theirs.weight, ours.weight
    yield theirs.bias, ours.bias


def _of(modules: Iterable[nn.Module], kind: type | tuple[type, ...]) -> list[Any]:
    return [module for module in modules if isinstance(module, kind)]
