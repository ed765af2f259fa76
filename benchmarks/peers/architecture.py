"""The network that contenders train."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """ADM's UNet (arXiv 2105.05233) with AdaGN, predicting noise.

    Attributes:
        image_size: Of square images of three channels.
        width: Level i has width * channel_mult[i] channels.
        channel_mult: See `width`.
        depth: Residual blocks per level.
        attention_resolutions: Image sizes at which there is attention (always also in the middle).
        head_channels: Width of an attention head.
        resample: Between levels, a choice of conf/network/resample: conv or biggan.
        num_classes: 0: no classes.
        dropout: In the residual blocks.
        recompute: Activations in the backward pass (gradient checkpointing).
    """

    image_size: int
    width: int
    channel_mult: tuple[int, ...]
    depth: int
    attention_resolutions: tuple[int, ...]
    head_channels: int
    resample: str = "conv"
    num_classes: int = 0
    dropout: float = 0.0
    recompute: bool = False

    @property
    def resolutions(self) -> list[int]:
        """Image size of each level."""
        return [self.image_size >> level for level in range(len(self.channel_mult))]

    @property
    def channels(self) -> list[int]:
        """Of each level."""
        return [self.width * multiplier for multiplier in self.channel_mult]
