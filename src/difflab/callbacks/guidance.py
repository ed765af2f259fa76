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

    def wrap_denoiser(self, denoise: DenoiseFn) -> DenoiseFn:
        """The guided denoiser."""
        return chained(list(self.guidances.values()), denoise)
