"""All errors of the network count alike."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.objectives.weightings.weighting import Weighting


class Unweighted(Weighting):
    """1 on the squared error of what the network itself predicts (L_simple, Ho et al. 2020, eq. 14)."""

    def __call__(self, snr: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return torch.ones_like(snr)
