"""Guidance by the model with some of its self-attention taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from difflab.guidance.guidance import Guidance, extrapolated, in_one_batch
from difflab.types import ATTENTION_PLACES, Condition, DenoiseFn, Prediction, attention_bit


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
        if not places or not set(places) <= set(ATTENTION_PLACES):
            raise ValueError(
                f"places = {list(places)}: expected some of {ATTENTION_PLACES[0]} .. {ATTENTION_PLACES[-1]}, as [0] for the attention "
                "in the middle"
            )
        self.scale = scale
        self.attention_places = frozenset(places)
        self._bits = sum(attention_bit(place) for place in self.attention_places)

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        if self.scale == 1:
            return denoise

        def guided(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
            before = cond.identity_attention
            if before is None:
                before = torch.zeros(len(x_t), dtype=torch.int64, device=x_t.device)
            plain = replace(cond, identity_attention=before)
            perturbed = replace(cond, identity_attention=before | self._bits)
            whole, worse = in_one_batch(denoise, x_t, t, plain, perturbed)
            return extrapolated(whole, worse.x0, self.scale)

        return guided
