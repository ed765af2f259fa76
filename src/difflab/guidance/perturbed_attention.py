"""Guidance by the model with some of its self-attention taken away."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from difflab.attention import IdentityAttention
from difflab.guidance.guidance import Guidance, extrapolated, in_one_batch
from difflab.types import Condition, DenoiseFn, Prediction


class PerturbedAttention(Guidance):
    """x_0 = perturbed + w (model - perturbed) (Ahn et al. 2024, arXiv 2403.17377, whose s is this w - 1).

    In the perturbed model the self-attention maps of the chosen layers are the identity: each pixel attends to itself.

    Needs no condition and no other model. w = 1 is no guidance. The variance is the model's. The perturbation is asked for through the
    condition, example by example, so that both predictions come from one batch and any guidance may lie between this one and the network.

    Args:
        scale: w.
        places: The layers: 0 is the attention in the middle of the UNet, -1, -2 ... those before it, 1, 2 ... those after it.
    """

    def __init__(self, scale: float, places: Sequence[int]):
        if not places:
            raise ValueError("places = [] perturbs no attention: [0] is that in the middle")
        self.scale = scale
        self.attention_places = frozenset(places)
        self._identity = IdentityAttention(self.attention_places)

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        if self.scale == 1:
            return denoise

        def guided(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
            whole, worse = in_one_batch(denoise, x_t, t, cond, cond.controlled(self._identity))
            return extrapolated(whole, worse.x0, self.scale)

        return guided
