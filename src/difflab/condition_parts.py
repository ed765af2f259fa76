"""The parts of a condition, and what embedders make of them.

A new kind of condition is a part that lives beside the network that reads it; nothing here knows it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

P = TypeVar("P", bound="ConditionPart")
D = TypeVar("D", bound="DroppablePart")

NULL_LABEL = -1
"""The label of an example whose class was dropped."""


class ConditionPart:
    """One thing that a model is told of each of B examples.

    A subclass is a frozen dataclass whose fields are tensors [B, ...], None, or plain values that all examples share; every operation here
    works on its tensors. One that says what the task is, such as the image that is to be enlarged, is a part like this; what a model can do
    without, a class or a text, is a `DroppablePart`.

    Attributes:
        over_pixels: Fields [B, C, H, W], floating point, that lie over the pixels of the image, as a map or a mask does: what is done to
            the image in training, as mirroring it, is done to them.
        is_given: Whether somebody has to give it when images are drawn; False for what the model makes itself.
    """

    over_pixels: ClassVar[frozenset[str]] = frozenset()
    is_given: ClassVar[bool] = True

    @classmethod
    def of(cls: type[P], cond: Mapping[str, ConditionPart]) -> P | None:
        """The part of this kind in a condition; None where there is none."""
        return next((part for part in cond.values() if isinstance(part, cls)), None)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Field -> tensor, of those that are there."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def map(self: P, function: Callable[[Tensor], Tensor]) -> P:
        """With a function applied to each tensor."""
        return replace(self, **{name: function(value) for name, value in self.tensors.items()})  # type: ignore[type-var]

    def warped(self: P, function: Callable[[Tensor], Tensor]) -> P:
        """With a function applied to what lies over the pixels: that which is done to the image itself."""
        return replace(self, **{name: function(self.tensors[name]) for name in self.over_pixels & self.tensors.keys()})  # type: ignore[type-var]

    def join(self: P, others: Sequence[P]) -> P:
        """The examples of this part, then those of others of its kind; shorter rows [B, N, ...] are filled up with zeros."""
        columns = {name: joined([part.tensors[name] for part in (self, *others)]) for name in self.tensors}
        return replace(self, **columns)  # type: ignore[type-var]

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))


class DroppablePart(ConditionPart, ABC):
    """A part that a model can do without, a class or a text: it has a null form, away from which guidance can lead."""

    @abstractmethod
    def null(self: D) -> D:
        """The null form of every example."""

    @abstractmethod
    def instead(self: D, value: Any) -> D:
        """This part with one value for all examples, as a configuration or a command line states it: a class, a negative prompt.

        Raises:
            ValueError: There is no such value.
        """

    def drop(self: D, mask: Bool[Tensor, " b"]) -> D:
        """Its null form for the examples where `mask` is true."""
        nulls = self.null().tensors

        def chosen(name: str, mine: Tensor) -> Tensor:
            return torch.where(mask.reshape(-1, *[1] * (mine.ndim - 1)), nulls[name], mine)

        return replace(self, **{name: chosen(name, value) for name, value in self.tensors.items()})  # type: ignore[type-var]


@runtime_checkable
class Readable(Protocol):
    """A part that can be read by people, as a caption: a list of what images were drawn for is written beside them."""

    def texts(self) -> list[str]:
        """That of each example."""
        ...


def joined(rows: Sequence[Tensor]) -> Tensor:
    """Tensors [B_i, N_i, ...] -> [B_1 + B_2 + ..., N, ...], filled up with zeros to the longest N."""
    if len({row.shape[1:] for row in rows}) == 1:
        return torch.cat(list(rows))
    longest = max(row.shape[1] for row in rows)
    return torch.cat([F.pad(row, (0, 0) * (row.ndim - 2) + (0, longest - row.shape[1])) for row in rows])


@dataclass(frozen=True)
class Label(DroppablePart):
    """The class of each example.

    Attributes:
        number: [B] class numbers; `NULL_LABEL` marks an example whose class was dropped.
    """

    number: Int[Tensor, " b"]

    def null(self) -> Label:
        return Label(torch.full_like(self.number, NULL_LABEL))

    def instead(self, value: Any) -> Label:
        if isinstance(value, bool) or not isinstance(value, int) or value < NULL_LABEL:
            raise ValueError(f"label: {value!r} is no class number")
        return Label(torch.full_like(self.number, value))


@dataclass(frozen=True)
class GivenImage(ConditionPart):
    """An image that says what the task is: one to be enlarged, coloured or completed. It cannot be dropped.

    Attributes:
        values: [B, C, H, W] in [-1, 1] before noise was added.
        level: [B] float64, the standard deviation of the noise in `values` (conditioning augmentation); None for none.
    """

    over_pixels = frozenset({"values"})

    values: Float[Tensor, "b c h w"]
    level: Float64[Tensor, " b"] | None = None


@dataclass(frozen=True)
class Embedding:
    """What an embedder makes of a condition, for the blocks of a network.

    Attributes:
        vector: [B, E], added to the embedding of time; [1, E] if it is the same for all examples.
        tokens: [B, N, D], keys and values of cross-attention.
        mask: [B, N] bool, which tokens are there; None for all.
    """

    vector: Float[Tensor, "b e"] | None = None
    tokens: Float[Tensor, "b n d"] | None = None
    mask: Bool[Tensor, "b n"] | None = None

    @property
    def count(self) -> int:
        """Number of examples."""
        return len(next(value for value in (self.vector, self.tokens) if value is not None))

    @property
    def present(self) -> Bool[Tensor, "b n"]:
        """The mask, spelled out."""
        if self.mask is not None:
            return self.mask
        assert self.tokens is not None
        return torch.ones(self.tokens.shape[:2], dtype=torch.bool, device=self.tokens.device)

    @staticmethod
    def cat(embeddings: Sequence[Embedding]) -> Embedding:
        """Examples of several embeddings after each other; shorter rows of tokens are filled up."""
        first = embeddings[0]
        vector = None if first.vector is None else torch.cat([e.vector for e in embeddings if e.vector is not None])
        if first.tokens is None:
            return Embedding(vector)
        tokens = joined([e.tokens for e in embeddings if e.tokens is not None])
        if all(e.mask is None and e.present.shape[1] == tokens.shape[1] for e in embeddings):
            return Embedding(vector, tokens)
        return Embedding(vector, tokens, joined([e.present for e in embeddings]))


@dataclass(frozen=True)
class Estimate(ConditionPart):
    """What was thought of x_0 before. The denoiser makes it, and nobody has to give it.

    Attributes:
        values: [B, C, *size], the estimate; None where there is none yet.
        wanted: [B], for which examples a first look is to be made while training; None where the values are final.
    """

    is_given: ClassVar[bool] = False

    values: Float[Tensor, "b c *size"] | None = None
    wanted: Bool[Tensor, " b"] | None = None
