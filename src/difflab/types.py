"""The vocabulary that all packages share.

Conventions:

- t is the time in [0, 1]: 0 is clean, 1 is noise; `s` is always the earlier (cleaner) time, s < t.
- x_t = alpha_t x_0 + sigma_t eps.
- What is modelled is [B, C, *size], floating point: images [B, C, H, W] in [-1, 1], points and vectors [B, C], videos [B, C, T, H, W]. No
  formula asks for the number of axes; networks do.
- Times are [B], float64. Schedules and every coefficient that follows from them are float64 [B] as well and are cast to the image's type
only where they multiply an image.
- Losses are [B], one value per example until the module takes the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float, Float64, Int
from torch import Tensor

from difflab.attention import NO_CONTROLS as NO_CONTROLS
from difflab.attention import AttentionControl as AttentionControl
from difflab.attention import AttentionSite as AttentionSite
from difflab.attention import Controls as Controls
from difflab.condition import Condition as Condition
from difflab.condition_parts import NULL_LABEL as NULL_LABEL
from difflab.condition_parts import ConditionPart as ConditionPart
from difflab.condition_parts import DroppablePart as DroppablePart
from difflab.condition_parts import Embedding as Embedding
from difflab.condition_parts import Estimate as Estimate
from difflab.condition_parts import GivenImage as GivenImage
from difflab.condition_parts import Label as Label
from difflab.condition_parts import Readable as Readable

ImageSize = int | Sequence[int]
"""The size of what is modelled, without its channels: n for square images of n x n pixels; else the number of places along each axis, as
[H, W] of rectangular images, [T, H, W] of videos, [] of points and vectors."""


def sides(size: ImageSize) -> tuple[int, ...]:
    """The axes *size of [B, C, *size]: (n, n) for n, and what is listed as it is."""
    return (size, size) if isinstance(size, int) else tuple(int(side) for side in size)


def size_of(axes: Sequence[int]) -> ImageSize:
    """The size that axes *size have: n for n x n, else the tuple of them."""
    return axes[0] if len(axes) == 2 and axes[0] == axes[1] else tuple(axes)


NORMAL_NOISE = "normal noise"
"""The process x_t = alpha_t x_0 + sigma_t eps, as models and samplers of it call it; those of another process have another word."""


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
        x0: E[x_0 | x_t], of x_t's shape.
        variance_fraction: What the network says of the variance of a reverse step, uninterpreted; None for a network that
            says nothing. Only a `Variance` reads it, since only a step (s, t) knows its beta.
    """

    x0: Float[Tensor, "b c *size"]
    variance_fraction: Float[Tensor, "b c *size"] | None = None


@dataclass(frozen=True)
class Losses:
    """Losses of a batch, per example.

    Attributes:
        total: What is minimised, [B] (importance weights of the time sampler applied).
        t: The times that were drawn, [B]; None where nothing is noised.
        terms: Named parts [B] for the log and for loss-aware time samplers, not importance weighted; "loss" is always among them.
    """

    total: Float[Tensor, " b"]
    t: Float64[Tensor, " b"] | None
    terms: dict[str, Float[Tensor, " b"]]


@runtime_checkable
class DenoiseFn(Protocol):
    """(x_t, t, cond) -> Prediction: a Denoiser, or any guided form of it."""

    def __call__(self, x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction: ...


@runtime_checkable
class ClassifyFn(Protocol):
    """(x_t, t) -> logits [B, K] of the classes of a noised image."""

    def __call__(self, x_t: Tensor, t: Tensor, /) -> Tensor: ...
