"""What guidance is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

from torch import nn

from difflab.types import DenoiseFn


class Guidance(ABC):
    """A denoiser made from a denoiser, so that guidances nest in any order.

    An argument called `scale` is w: x_0 = worse + w (better - worse), or x_0 + (w - 1) shift. w = 1 is no guidance, whatever the kind,
    and costs nothing: the denoiser itself is returned.

    A guided denoiser is made for one trajectory: what it remembers of the times before (momentum) is not that of other images.

    needs_null_condition   whether the condition must be droppable, and the model know the null condition: have been trained with conditions
                           dropped
    needs_label            whether every image must have a class
    attention_places       of the model's self-attentions that it perturbs, see `difflab.types.ATTENTION_PLACES`
    models                 name -> frozen network that it asks besides the denoiser: to be moved to the denoiser's device, and named by its
                           weights in the protocol of a number
    """

    needs_null_condition: bool = False
    needs_label: bool = False
    attention_places: frozenset[int] = frozenset()
    models: Mapping[str, nn.Module] = MappingProxyType({})

    @abstractmethod
    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        """The guided denoiser."""


def chained(guidances: list[Guidance], denoise: DenoiseFn) -> DenoiseFn:
    """Guidances around a denoiser, the first of them innermost."""
    for guidance in guidances:
        denoise = guidance(denoise)
    return denoise
