"""What guidance is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from difflab.types import DenoiseFn


class Guidance(ABC):
    """A denoiser made from a denoiser, so that guidances nest in any order.

    needs_null_condition   whether the model must know the null condition, that is, have been trained with conditions dropped
    """

    needs_null_condition: bool

    @abstractmethod
    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        """The guided denoiser."""


def chained(guidances: list[Guidance], denoise: DenoiseFn) -> DenoiseFn:
    """Guidances around a denoiser, the first of them innermost."""
    for guidance in guidances:
        denoise = guidance(denoise)
    return denoise
