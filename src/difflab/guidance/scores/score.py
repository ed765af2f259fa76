"""What a score of images is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Score(Protocol):
    """x_0 [B, C, H, W] in [-1, 1] -> [B], differentiable: a log-probability up to a constant. Any function will do. One that is a module is
    moved to the denoiser's device, and named by its weights in the protocol of a number."""

    def __call__(self, x_0: Tensor, /) -> Tensor: ...
