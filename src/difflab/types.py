"""The vocabulary that all packages share.

Conventions:

- t is the time in [0, 1]: 0 is clean, 1 is noise; `s` is always the earlier (cleaner) time, s < t.
- x_t = alpha_t x_0 + sigma_t eps.
- Images are [B, C, H, W], floating point in [-1, 1].
- Times are [B], float64. Schedules and every coefficient that follows from them are float64 [B] as well and are cast to the image's type
only where they multiply an image.
- Losses are [B], one value per example until the module takes the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

NULL_LABEL = -1
"""The label of an example whose class was dropped."""

C = TypeVar("C", bound="Condition")

ATTENTION_PLACES = range(-31, 32)
"""Places that a self-attention can have in a network: 0 in its middle, -1, -2 ... before it, 1, 2 ... after it."""


def attention_bit(place: int) -> int:
    """The bit that stands for the self-attention at a place, among the 63 of an int64 that are not its sign."""
    return 1 << (place - ATTENTION_PLACES.start)


class AlphaSigma(NamedTuple):
    """Signal and noise scale of x_t = alpha x_0 + sigma eps.

    Attributes:
        alpha: Signal scale, [B].
        sigma: Noise scale, [B].
    """

    alpha: Float64[Tensor, " b"]
    sigma: Float64[Tensor, " b"]


class Preconditioning(NamedTuple):
    """Coefficients of x_0 = c_skip x_t + c_out F(c_in x_t, c_noise), F being the raw network (Karras et al. 2022, eq. 7).

    Attributes:
        c_skip: Factor of x_t in the result, [B].
        c_out: Factor of the network's output, [B].
        c_in: Factor of x_t in the network's input, [B].
        c_noise: What the network is told of the time, [B].
    """

    c_skip: Float64[Tensor, " b"]
    c_out: Float64[Tensor, " b"]
    c_in: Float64[Tensor, " b"]
    c_noise: Float64[Tensor, " b"]


@dataclass(frozen=True)
class Condition:
    """What the model is told besides (x_t, t). A field is absent (None) for a model that does not use it.

    A subclass with further fields, each a tensor [B, ...] or None, is a condition of another kind: every operation here works on the fields
    that the dataclass declares. One declared by `field(default=None, metadata={"null": value})` is dropped with the condition: its examples
    are then filled with the value.

    Attributes:
        label: Class number per example; `NULL_LABEL` marks an example whose class was dropped.
        image: Low-resolution image to be enlarged (super-resolution), [B, C, H, W]. It says what the task is, so `drop` leaves it.
        level: Standard deviation of the noise that was added to `image` (conditioning augmentation), [B] float64; 0 for none.
        identity_attention: Self-attentions whose map is the identity (perturbed-attention guidance), [B]: the sum of their
            `attention_bit`s.
    """

    label: Int[Tensor, " b"] | None = field(default=None, metadata={"null": NULL_LABEL})
    image: Float[Tensor, "b c h w"] | None = None
    level: Float64[Tensor, " b"] | None = None
    identity_attention: Int[Tensor, " b"] | None = None

    @property
    def is_droppable(self) -> bool:
        """Whether there is anything that `drop` takes away, and so a null condition to guide away from."""
        return bool(self._droppable())

    def drop(self: C, mask: Tensor | None = None) -> C:
        """The null condition: for every example, or for those where `mask` [B] is true."""
        dropped = {}
        for name, (value, null) in self._droppable().items():
            filled = torch.full_like(value, null)
            chosen = None if mask is None else mask.reshape(-1, *[1] * (value.ndim - 1))
            dropped[name] = filled if chosen is None else torch.where(chosen, filled, value)
        return replace(self, **dropped) if dropped else self

    def __getitem__(self: C, index: Any) -> C:
        """The condition of the selected examples."""
        return self._map(lambda value: value[index])

    def to(self: C, device: Any, non_blocking: bool = False) -> C:
        return self._map(lambda value: value.to(device, non_blocking=non_blocking))

    def pin_memory(self: C) -> C:
        return self._map(lambda value: value.pin_memory())

    @staticmethod
    def cat(conditions: Sequence[C]) -> C:
        """Examples of several conditions of one kind after each other, as `torch.cat` does.

        Raises:
            ValueError: The conditions are of different kinds, or only some of them have a field.
        """
        first = conditions[0]
        if len(kinds := {type(c).__name__ for c in conditions}) > 1:
            raise ValueError(f"conditions of different kinds cannot be joined: {', '.join(sorted(kinds))}")
        columns: dict[str, Tensor] = {}
        for name in (f.name for f in fields(first)):
            present = [value for c in conditions if (value := getattr(c, name)) is not None]
            if present and len(present) < len(conditions):
                raise ValueError(f"conditions with and without {name!r} cannot be joined")
            if present:
                columns[name] = torch.cat(present)
        return replace(first, **columns)

    def _map(self: C, function: Callable[[Tensor], Tensor]) -> C:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: function(value) for name, value in values.items() if value is not None})

    def _droppable(self) -> dict[str, tuple[Tensor, float]]:
        """Name -> what `drop` takes away, and what it puts there."""
        declared = {f.name: f.metadata["null"] for f in fields(self) if "null" in f.metadata}
        present = {name: getattr(self, name) for name in declared}
        return {name: (value, declared[name]) for name, value in present.items() if value is not None}


@dataclass(frozen=True)
class Batch:
    """A batch of training images.

    Attributes:
        x0: The images, [B, C, H, W] in [-1, 1] (uint8, 0 .. 255, until they are on the device).
        cond: What goes with each image.
        number: The global image number, [B] int64: the position of the example in the endless stream of training images, which does not
            depend on the number of processes. All randomness of training is a function of it.
    """

    x0: Tensor
    cond: Condition
    number: Int[Tensor, " b"]

    def to(self, device: Any, non_blocking: bool = False) -> Batch:
        x0, number = (value.to(device, non_blocking=non_blocking) for value in (self.x0, self.number))
        return Batch(x0, self.cond.to(device, non_blocking), number)

    def pin_memory(self) -> Batch:
        return Batch(self.x0.pin_memory(), self.cond.pin_memory(), self.number.pin_memory())


@dataclass(frozen=True)
class Prediction:
    """What a denoiser says of x_t.

    Attributes:
        x0: E[x_0 | x_t], [B, C, H, W].
        variance_fraction: What the network says of the variance of a reverse step, uninterpreted, [B, C, H, W]; None for a network that
            says nothing. Only a `Variance` reads it, since only a step (s, t) knows its beta.
    """

    x0: Float[Tensor, "b c h w"]
    variance_fraction: Float[Tensor, "b c h w"] | None = None


@dataclass(frozen=True)
class Losses:
    """Losses of a batch, per example.

    Attributes:
        total: What is minimised, [B] (importance weights of the time sampler applied).
        t: The times that were drawn, [B].
        terms: Named parts [B] for the log and for loss-aware time samplers, not importance weighted; "loss" is always among them.
    """

    total: Float[Tensor, " b"]
    t: Float64[Tensor, " b"]
    terms: dict[str, Float[Tensor, " b"]]


@runtime_checkable
class DenoiseFn(Protocol):
    """(x_t, t, cond) -> Prediction: a Denoiser, or any guided form of it."""

    def __call__(self, x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction: ...


@runtime_checkable
class ClassifyFn(Protocol):
    """(x_t, t) -> logits [B, K] of the classes of a noised image."""

    def __call__(self, x_t: Tensor, t: Tensor, /) -> Tensor: ...
