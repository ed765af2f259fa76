"""What a network is, and the weights with which it and its last layers begin.

Initial weights that variants of a network have in common.

torch draws the weights of a network one layer after the other from one generator, so that a layer more, or a wider one, changes all that
follow it. Here each layer's weights are a function of (seed, the layer's name): networks of one seed begin with the same weights wherever
a layer's name and shapes match, and the difference between two rows of an ablation is not blurred by the luck of different beginnings.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from difflab.types import Condition

M = TypeVar("M", bound=nn.Module)


def zeroed(module: M) -> M:
    """The module with all parameters set to zero."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


class Network(nn.Module, ABC):
    """F(x, time, cond): any function of a noisy image, a number that tells how noisy it is, and a condition. It knows no diffusion.

    Attributes:
        in_channels: Channels of x.
        out_channels: Channels of the output: those of x, twice as many if it speaks of a variance too; number of classes.
        image_size: Side of x.
        condition_channels: Channels of the image that it must be told, `cond.image`; 0 if it reads none.
        attention_places: Places of the self-attentions that obey `cond.identity_attention`, among `difflab.types.ATTENTION_PLACES`.
        sizes: Whole numbers of the constructor that make it larger, by which a row can be made equal to another one, and the multiples
            of each that are tried.
    """

    in_channels: int
    out_channels: int
    image_size: int
    condition_channels: int = 0
    attention_places: frozenset[int] = frozenset()
    sizes: ClassVar[Mapping[str, Sequence[int]]] = {"width": (8, 16, 32, 64, 128, 4, 2), "depth": (1,)}
    # multiples of 8 suit processors and groups of channels; larger ones are for heads of a fixed width, smaller ones for networks so
    # narrow that steps of 8 are too coarse

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "b c h w"], time: Float[Tensor, " b"], cond: Condition
    ) -> Float[Tensor, "b o *size"]:
        """The output [B, out_channels, H, W]; of a classifier's, whose output is no image, [B, out_channels].

        Args:
            x: The images.
            time: How noisy they are, in the network's own numbers.
            cond: What else it is told of them.
        """


@runtime_checkable
class Drawn(Protocol):
    """A layer that draws its own initial weights from torch's generator, as torch's layers do."""

    def reset_parameters(self) -> None: ...


def initialise(network: nn.Module, seed: int) -> None:
    """Draws the weights anew. A layer whose weights were all set to zero stays as it is, and so does one that does not draw its own.

    torch's generator is left where it was.

    Args:
        network: The network, whose weights are changed in place.
        seed: The same seed gives a layer of the same name and shapes the same weights.
    """
    with torch.random.fork_rng(devices=[]):
        for name, layer in network.named_modules():
            own = list(layer.parameters(recurse=False))
            if isinstance(layer, Drawn) and any(bool(parameter.any()) for parameter in own):
                digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
                torch.manual_seed(int.from_bytes(digest[:8], "big", signed=True))
                layer.reset_parameters()
