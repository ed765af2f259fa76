"""The socket of guidance."""

from __future__ import annotations

from collections.abc import Mapping

import pytorch_lightning as pl

from difflab.guidance import Guidance, chained
from difflab.types import DenoiseFn


class GuidanceCallback(pl.Callback):
    """Wraps the denoiser for sampling.

    guidances   name -> guidance, the first innermost; empty for none
    """

    def __init__(self, guidances: Mapping[str, Guidance]):
        self.guidances = dict(guidances)

    def check(self, condition_dropout: float) -> None:
        """Raises a ValueError if a model trained with this share of dropped conditions cannot be guided so."""
        for name, guidance in self.guidances.items():
            if guidance.needs_null_condition and condition_dropout == 0:
                raise ValueError(
                    f"guidance {name!r} asks the model for its prediction without a condition, which it learns only if conditions are "
                    "dropped in training: set condition_dropout=0.1, or leave the guidance out"
                )

    def wrap_denoiser(self, denoise: DenoiseFn) -> DenoiseFn:
        """The guided denoiser."""
        return chained(list(self.guidances.values()), denoise)
