"""What a network is to the rest of difflab."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from difflab.types import Condition


class Network(nn.Module, ABC):
    """F(x, time, cond): any function of a noisy image, a number that tells how noisy it is, and a condition. It knows no diffusion.

    in_channels    channels of x
    out_channels   channels of the output: those of x, twice as many if it speaks of a variance too; number of classes
    image_size     side of x
    condition_channels   of the image that it must be told, `cond.image`; 0 if it reads none
    attention_places   of the self-attentions that obey `cond.identity_attention`, among `difflab.types.ATTENTION_PLACES`
    """

    in_channels: int
    out_channels: int
    image_size: int
    condition_channels: int = 0
    attention_places: frozenset[int] = frozenset()

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "b c h w"], time: Float[Tensor, " b"], cond: Condition
    ) -> Float[Tensor, "b o *size"]:
        """Output [B, out_channels, H, W]; of a classifier's, whose output is no image, [B, out_channels]."""
