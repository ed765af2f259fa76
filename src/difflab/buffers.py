"""What becomes of a module's buffers where its weights are averaged: each is averaged, copied, or recomputed from the weights.

A buffer of floating point, as the running statistics of a normalisation, is averaged as a weight is; any other, as a count of batches, is
copied. A module says otherwise of its own:

    class Codebook(nn.Module):
        copied_buffers = ("usage",)            # the newest values, though they are floating point

        def recompute_buffers(self): ...       # of `persistent=False`: made anew whenever other weights have been put in place

Buffers that are not persistent are in no checkpoint and no average.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@runtime_checkable
class CopiesBuffers(Protocol):
    """A module some of whose buffers are not averaged although they are floating point.

    Attributes:
        copied_buffers: Their names, within the module.
    """

    copied_buffers: Collection[str]


@runtime_checkable
class RecomputesBuffers(Protocol):
    """A module with buffers that follow from its weights and its other buffers."""

    def recompute_buffers(self) -> None:
        """Makes them anew."""


def averaged_buffers(module: nn.Module) -> dict[str, Tensor]:
    """The buffers that are averaged with the weights, by name."""
    return {name: buffer for name, buffer, averaged in _persistent(module) if averaged}


def copied_buffers(module: nn.Module) -> dict[str, Tensor]:
    """The buffers of which an average has the newest values, by name."""
    return {name: buffer for name, buffer, averaged in _persistent(module) if not averaged}


def recompute(module: nn.Module) -> None:
    """Has every part recompute the buffers that follow from its weights, which are others now."""
    for part in module.modules():
        if isinstance(part, RecomputesBuffers):
            part.recompute_buffers()


@contextmanager
def swapped(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> Iterator[None]:
    """Within the context the tensors are where these values are; nothing is copied, and graphs through the tensors stay as they are.

    What mixed precision keeps of weights in another type is forgotten before and after it.
    """
    own = {name: tensor.data for name, tensor in tensors.items()}
    torch.clear_autocast_cache()
    try:
        for name, tensor in tensors.items():
            tensor.data = values[name].to(tensor.dtype)
        yield
    finally:
        torch.clear_autocast_cache()
        for name, tensor in tensors.items():
            tensor.data = own[name]


def _persistent(module: nn.Module) -> Iterator[tuple[str, Tensor, bool]]:
    """(name, buffer, whether it is averaged) of what is in a checkpoint."""
    for path, part in module.named_modules():
        own = dict(part.named_buffers(recurse=False))
        if not own:
            continue
        kept = part.state_dict(keep_vars=True)
        copied = part.copied_buffers if isinstance(part, CopiesBuffers) else ()
        for name, buffer in own.items():
            if name in kept:
                averaged = buffer.is_floating_point() and name not in copied
                yield f"{path}.{name}" if path else name, buffer, averaged
