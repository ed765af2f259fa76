"""Initial weights that variants of a network have in common.

torch draws the weights of a network one layer after the other from one generator, so that a layer more, or a wider one, changes all that
follow it. Here each layer's weights are a function of (seed, the layer's name): networks of one seed begin with the same weights wherever
a layer's name and shapes match, and the difference between two rows of an ablation is not blurred by the luck of different beginnings.
"""

from __future__ import annotations

import hashlib
from typing import Protocol, runtime_checkable

import torch
from torch import nn


@runtime_checkable
class Drawn(Protocol):
    """A layer that draws its own initial weights from torch's generator, as torch's layers do."""

    def reset_parameters(self) -> None: ...


def initialise(network: nn.Module, seed: int) -> None:
    """Draws the weights anew. A layer whose weights were all set to zero stays as it is, and so does one that does not draw its own.

    torch's generator is left where it was.
    """
    with torch.random.fork_rng(devices=[]):
        for name, layer in network.named_modules():
            own = list(layer.parameters(recurse=False))
            if isinstance(layer, Drawn) and any(bool(parameter.any()) for parameter in own):
                digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
                torch.manual_seed(int.from_bytes(digest[:8], "big", signed=True))
                layer.reset_parameters()
