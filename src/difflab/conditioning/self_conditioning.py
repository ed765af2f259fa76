"""Self-conditioning in training (Chen et al. 2022, arXiv 2208.04202, algorithm 1)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from difflab.conditioning.conditioning import Conditioning
from difflab.noise import Noise
from difflab.types import Condition, Estimate


class SelfConditioning(Conditioning):
    """For a share of the images the denoiser looks once without an estimate, and is trained on its second look.

    No gradient passes through the first.

    Args:
        share: Probability of a first look; the other images are trained without an estimate, as the first look itself is made.
    """

    image_channels = 0

    def __init__(self, share: float = 0.5):
        if not 0 < share < 1:
            raise ValueError(
                f"conditioning.self_conditioning.share={share} must lie between 0 and 1: with and without an estimate are both needed"
            )
        self.share = share

    def __call__(self, cond: Condition, x_0: Float[Tensor, "b c h w"], noise: Noise) -> Condition:
        return cond.having(estimate=Estimate(wanted=noise.uniform("self-conditioning") < self.share))
