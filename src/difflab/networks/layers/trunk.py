"""The contracting half of ADM's networks, which the UNet and the classifier share (arXiv 2105.05233, section 3)."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.resample import BlockFactory, Resample
from difflab.networks.layers.residual_block import Chain
from difflab.networks.network import BlockCondition
from difflab.types import ImageSize, sides


class Trunk(nn.Module):
    """The contracting half: conv_in, then the levels, then the middle (residual block, attention, residual block).

    Per level there are `depth` residual blocks, each followed by attention at the chosen resolutions, and a halving of the resolution.

    Args:
        image_size: Side of square training images, or [H, W] (other sizes that the levels divide work too).
        in_channels: Channels of the image.
        width: Channels of a level with multiplier 1.
        channel_mult: Level i has width * channel_mult[i] channels.
        depth: Residual blocks per level.
        attention_resolutions: Image sizes (of the shorter side) at which there is attention.
        block: Makes a residual block.
        attention: Makes the attention for a number of channels.
        resample: Makes what is between the levels.
        gradient_checkpointing: See `Chain`.
        cross_attention: Makes the attention to the tokens of the condition for a number of channels; None for none.
        middle_attention: Whether there is attention in the middle.

    Attributes:
        resolutions: Image size of each level, of the shorter side.
        channels: Channels of each level.
        features: The number of channels of each image that `forward` returns.
        memory_format: Of the images, None for what is fastest on their device.
    """

    def __init__(
        self,
        image_size: ImageSize,
        in_channels: int,
        width: int,
        channel_mult: Sequence[float],
        depth: int,
        attention_resolutions: Sequence[int],
        block: BlockFactory,
        attention: Callable[[int], nn.Module],
        resample: Resample,
        gradient_checkpointing: bool,
        cross_attention: Callable[[int], nn.Module] | None = None,
        middle_attention: bool = True,
    ):
        super().__init__()
        if in_channels < 1 or depth < 1:
            raise ValueError(f"in_channels and depth must be at least 1, got in_channels={in_channels}, depth={depth}")
        self.channels = level_channels(width, channel_mult)
        self.resolutions = level_resolutions(image_size, len(self.channels))
        self.attention_resolutions = frozenset(attention_resolutions)
        check_attention(attention_resolutions, image_size, self.resolutions)

        ch = self.channels[0]
        self.conv_in = nn.Conv2d(in_channels, ch, 3, padding=1)
        self.features, steps = [ch], []
        for level, (resolution, out) in enumerate(zip(self.resolutions, self.channels, strict=True)):
            for _ in range(depth):
                blocks, ch = [block(ch, out)], out
                if resolution in self.attention_resolutions:
                    blocks += attentions(ch, attention, cross_attention)
                steps.append(Chain(blocks, gradient_checkpointing))
                self.features.append(ch)
            if level + 1 < len(self.channels):
                steps.append(Chain([resample.down(ch, block)], gradient_checkpointing))
                self.features.append(ch)
        self.steps = nn.ModuleList(steps)
        looks = attentions(ch, attention, cross_attention) if middle_attention else []
        self.middle = Chain([block(ch, ch), *looks, block(ch, ch)], gradient_checkpointing)
        self.features.append(ch)
        self.memory_format: torch.memory_format | None = None

    def forward(self, x: Float[Tensor, "b c h w"], emb: BlockCondition) -> list[Tensor]:
        """The image after conv_in, after every step, and after the middle.

        Args:
            x: The images.
            emb: What the blocks are told of time and condition.

        Raises:
            ValueError: The levels do not divide the images' height and width.
        """
        check_halvings(x, len(self.channels))
        x = x.contiguous(memory_format=self.memory_format or fastest_format(x.device))
        features = [self.conv_in(x)]  # all others follow it
        for step in self.steps:
            features.append(step(features[-1], emb))
        features.append(self.middle(features[-1], emb))
        return features


@runtime_checkable
class LaidOut(Protocol):
    """A part of a network that lays images out in memory, as all that follows it then does.

    Attributes:
        memory_format: Of the images, None for what is fastest on their device.
    """

    memory_format: torch.memory_format | None


def check_attention(attention_resolutions: Sequence[int], image_size: ImageSize, resolutions: Sequence[int]) -> None:
    """Checks that there is a level for each resolution at which attention is asked for.

    Args:
        attention_resolutions: Those asked for.
        image_size: Of the training images.
        resolutions: Of the levels.

    Raises:
        ValueError: No level has one of them.
    """
    if absent := sorted(set(attention_resolutions) - set(resolutions)):
        raise ValueError(
            f"attention_resolutions asks for {absent}, but the levels of an image of size {image_size} with channel_mult "
            f"of length {len(resolutions)} have the resolutions {list(resolutions)}: "
            f"set attention_resolutions to some of these, or to []"
        )


def check_halvings(x: Float[Tensor, "b c h w"], levels: int) -> None:
    """Checks that images can be halved from level to level.

    Args:
        x: The images.
        levels: How many levels the network has.

    Raises:
        ValueError: The levels do not divide the images' height and width.
    """
    factor = 2 ** (levels - 1)
    if x.shape[2] % factor or x.shape[3] % factor:
        raise ValueError(
            f"images of {x.shape[2]} x {x.shape[3]} pixels cannot be halved {levels - 1} times, as the network's "
            f"{levels} levels do; height and width must be multiples of {factor}"
        )


def attentions(
    channels: int, attention: Callable[[int], nn.Module], cross_attention: Callable[[int], nn.Module] | None
) -> list[nn.Module]:
    """What looks around at a place of a network: over the image, then over the tokens of the condition."""
    return [attention(channels), *([cross_attention(channels)] if cross_attention else [])]


def fastest_format(device: torch.device) -> torch.memory_format:
    """The memory format in which images are fastest on a device.

    That is channels_last on a CPU, where convolutions, norms and attention then all read a pixel's channels side by side. On a GPU torch's
    own GroupNorm turns such images round and back, unless it is compiled (`compute`).
    """
    return torch.channels_last if device.type == "cpu" else torch.contiguous_format


def level_resolutions(image_size: ImageSize, levels: int) -> list[int]:
    """The resolution of each level: n, n / 2, ... for images whose shorter side is n.

    Raises:
        ValueError: A level would get half a pixel, or there are no images of this size.
    """
    axes, factor = sides(image_size), 2 ** (levels - 1)
    if len(axes) != 2:
        raise ValueError(
            f"image_size={list(axes)} has {len(axes)} axes, and convolutions over images need two, [H, W]: choose a network for such data "
            "(network=mlp takes any)"
        )
    if any(side < factor or side % factor for side in axes):
        raise ValueError(
            f"image_size={image_size} cannot be halved {levels - 1} times, as channel_mult of length {levels} asks; "
            f"use a multiple of {factor}, or fewer levels"
        )
    return [min(axes) // 2**level for level in range(levels)]


def level_channels(width: int, channel_mult: Sequence[float]) -> list[int]:
    """The channels of each level: width * multiplier.

    Raises:
        ValueError: That is not a whole positive number, or there is no level.
    """
    channels = [width * multiplier for multiplier in channel_mult]
    if not channels or any(count < 1 or count != int(count) for count in channels):
        raise ValueError(
            f"width={width} and channel_mult={list(channel_mult)} give levels of {channels} channels; "
            "there must be at least one level, and each needs a whole positive number of channels"
        )
    return [int(count) for count in channels]
