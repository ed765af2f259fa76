"""What a network is, and the weights with which it and its last layers begin.

Initial weights that variants of a network have in common.

torch draws the weights of a network one layer after the other from one generator, so that a layer more, or a wider one, changes all that
follow it. Here each layer's weights are a function of (seed, the layer's name): networks of one seed begin with the same weights wherever
a layer's name and shapes match, and the difference between two rows of an ablation is not blurred by the luck of different beginnings.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor, nn

from difflab.types import NO_CONTROLS, Condition, Controls, Embedding, GivenImage, ImageSize

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
        image_size: Of x: its side, or how long each of its axes is (`difflab.types.ImageSize`).
        condition_channels: Channels of the `Image` that it must be told; 0 if it reads none.
        reads_estimate: Whether it sees an earlier estimate of x_0, which its denoiser makes: self-conditioning.
        attention_places: Places of the self-attentions that ask the condition's `AttentionControl`s: 0 in its middle, -1, -2 ... before it,
            1, 2 ... after it.
        sizes: Whole numbers of the constructor that make it larger, by which a row can be made equal to another one, and the multiples
            of each that are tried.
    """

    in_channels: int
    out_channels: int
    image_size: ImageSize
    condition_channels: int = 0
    reads_estimate: bool = False
    attention_places: frozenset[int] = frozenset()
    sizes: ClassVar[Mapping[str, Sequence[int]]] = {"width": (8, 16, 32, 64, 128, 4, 2), "depth": (1,)}
    # multiples of 8 suit processors and groups of channels; larger ones are for heads of a fixed width, smaller ones for networks so
    # narrow that steps of 8 are too coarse

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "b c *size"], time: Float[Tensor, " b"], cond: Condition
    ) -> Float[Tensor, "b o *size"]:
        """The output [B, out_channels, H, W]; of a classifier's, whose output is no image, [B, out_channels].

        Args:
            x: The images.
            time: How noisy they are, in the network's own numbers.
            cond: What else it is told of them.
        """


def networks_of(module: nn.Module) -> list[Network]:
    """The networks that a model holds, but for those that are parts of others."""
    if isinstance(module, Network):
        return [module]
    return [network for child in module.children() for network in networks_of(child)]


def check_image(network: Network, cond: Condition) -> None:
    """Checks that a network is told the images that it reads beside x_t, and no others.

    Args:
        network: The network.
        cond: What it is told.

    Raises:
        ValueError: It is told none, one of other channels, or one that it does not read.
    """
    image, name = GivenImage.of(cond), type(network).__name__
    told = 0 if image is None else image.values.shape[1]
    if told and told != network.condition_channels:
        raise ValueError(
            f"{name} reads an image of {network.condition_channels} channels beside x_t and is told one of {told}: super-resolution needs "
            "both network=superres and conditioning=[low_resolution], with as many channels as the data; an image that the data bring "
            f"needs network=superres with network.image_channels={told}"
        )
    if network.condition_channels and not told:
        raise ValueError(
            f"{name} enlarges a small image, which nothing makes: choose conditioning=[low_resolution] and its size, or data that bring "
            f"an image of {network.condition_channels} channels"
        )
    if network.reads_estimate == (len(cond.given) == len(cond)):
        raise ValueError(
            f"{name} reads an estimate of x_0, which training makes for a share of the images: choose conditioning=[self_conditioning]"
            if network.reads_estimate
            else f"conditioning=[self_conditioning] makes an estimate of x_0 that {name} does not read: choose network=self_conditioned"
        )


@dataclass(frozen=True)
class BlockCondition:
    """What each block of a network is told besides the features: the condition, embedded.

    Attributes:
        vector: [B, E], of time and condition.
        tokens: [B, N, D], for cross-attention; None where nothing of the condition is a sequence.
        mask: [B, N] bool, which tokens are there; None for all.
        controls: Of the attention maps.
        t: [B] float64, the time of the call, for the controls.
    """

    vector: Float[Tensor, "b e"]
    tokens: Float[Tensor, "b n d"] | None = None
    mask: Bool[Tensor, "b n"] | None = None
    controls: Controls = NO_CONTROLS
    t: Float64[Tensor, " b"] | None = None


def block_condition(
    time: Float[Tensor, "b e"],
    embedders: nn.ModuleDict,
    cond: Condition,
    activation: Callable[[Tensor], Tensor],
) -> BlockCondition:
    """The condition as the blocks of a network are told it, whatever it is made of.

    Vectors are added to that of time, in the order of the embedders; tokens stand after each other.

    Args:
        time: The embedding of time.
        embedders: Name -> module(cond) -> `Embedding`, or a vector [B, E].
        cond: The condition.
        activation: Of the sum of vectors: every block begins with it, and once is enough.
    """
    vector, sequences = time, []
    for embedder in embedders.values():
        embedding = cond.embedded(embedder)
        if embedding.vector is not None:
            vector = vector + embedding.vector
        if embedding.tokens is not None:
            sequences.append(embedding)
    return BlockCondition(activation(vector), *in_sequence(sequences), cond.controls, cond.t)


def in_sequence(embeddings: Sequence[Embedding]) -> tuple[Tensor | None, Tensor | None]:
    """The tokens of several embeddings after each other, and which of them are there; None for none, and for all.

    Args:
        embeddings: Each with tokens.
    """
    if not embeddings:
        return None, None
    tokens = torch.cat([e.tokens for e in embeddings if e.tokens is not None], dim=1)
    if all(e.mask is None for e in embeddings):
        return tokens, None
    return tokens, torch.cat([e.present for e in embeddings], dim=1)


def weights_sha256(weights: Mapping[str, Tensor]) -> str:
    """A hash of names and values of weights, the same wherever and in whatever order they are stored."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        value = value.detach().to(torch.float32).cpu().contiguous()
        digest.update(f"{name} {list(value.shape)}".encode())
        digest.update(value.numpy().reshape(-1).data)
    return digest.hexdigest()


@runtime_checkable
class Drawn(Protocol):
    """A layer that draws its own initial weights from torch's generator, as torch's layers do."""

    def reset_parameters(self) -> None: ...


@runtime_checkable
class ClassTable(Protocol):
    """A layer whose `weight` has a row for each class, so that a model of other classes can give it those that both have.

    Attributes:
        num_classes: Classes that it has rows for, the first ones.
    """

    num_classes: int

    def resized(self, given: Tensor, classes: int | None) -> Tensor:
        """What its weight becomes where it is given a table of another model; other rows stay as they are.

        Args:
            given: The table, [rows, dim].
            classes: Classes of that model; None where nobody says: its table is then of the same kind.
        """
        ...


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
