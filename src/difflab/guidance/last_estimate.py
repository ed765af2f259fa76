"""Self-conditioning by the prediction of the step before (Chen et al. 2022, arXiv 2208.04202, algorithm 2)."""

from __future__ import annotations

from torch import Tensor

from difflab.guidance.guidance import Guidance
from difflab.types import Condition, DenoiseFn, Estimate, Prediction


class LastEstimate(Guidance):
    """Hands each prediction on as the estimate of the next call, which then needs no first look: half the cost.

    It is the innermost guidance: the network sees its own predictions, and of a batch that joins conditions each its own. The first call
    of a trajectory makes its first look, since there is no prediction yet.
    """

    needs_self_conditioning = True

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        last: list[Tensor] = []

        def remembering(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
            known = last[0] if last and last[0].shape == x_t.shape else None
            prediction = denoise(x_t, t, cond if known is None else cond.beside(estimate=Estimate(known)))
            last[:] = [prediction.x0.detach()]
            return prediction

        return remembering
