"""What a metric of a drawn image and the one that it should be is: super-resolution, where each image has its original."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

import torch
from jaxtyping import Float64, Int, UInt8
from torch import Tensor

from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.protocol import Value


class Pairs(Protocol):
    """What images were drawn for, by their numbers 0 .. N - 1.

    has_originals   whether the images themselves are known, not their small forms alone
    """

    @property
    def has_originals(self) -> bool: ...

    @property
    def fields(self) -> dict[str, Any]:
        """What a protocol says of them, nested."""
        ...

    def originals(self, index: Int[Tensor, " b"]) -> UInt8[Tensor, "b c h w"]: ...

    def small(self, index: Int[Tensor, " b"]) -> Tensor:
        """The small images that the model was given, in [-1, 1] and without noise."""
        ...

    def made_small(self, images: UInt8[Tensor, "b c h w"]) -> Tensor:
        """Images in the form of `small`."""
        ...


class PairMetric(ABC):
    """(images, pairs, index) -> a value of each image, whose mean is the number.

    name              psnr, ssim, ...
    needs_originals   whether small forms do not do
    """

    name: str
    needs_originals: bool

    @abstractmethod
    def info(self) -> MetricInfo:
        """What kind of number it is."""

    @classmethod
    def declared(cls, name: str, fields: Mapping[str, Value]) -> MetricInfo | None:
        """What kind of number this is, if it is this metric's, by the protocol under which an earlier version measured it.

        Only metrics that come with difflab are asked. All of them have defaults, or say themselves what their numbers are called.
        """
        metric = cls()
        return metric.info() if metric.name == name else None

    @abstractmethod
    def protocol(self) -> dict[str, str | int | float]:
        """The metric's own settings that define its number."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Self:
        """Moves what networks it has."""

    @abstractmethod
    def __call__(
        self, images: UInt8[Tensor, "b c h w"], pairs: Pairs, index: Int[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        """index   which of the N images these are"""


def check_pairs(metrics: Sequence[PairMetric], pairs: Pairs | None) -> None:
    """Raises a ValueError for the first metric that cannot be computed. To be called before any work."""
    for metric in metrics:
        if pairs is None:
            raise ValueError(
                f"{metric.name} compares each image with what it was drawn for, which super-resolution alone has: leave it out of metric"
            )
        if metric.needs_originals and not pairs.has_originals:
            raise ValueError(
                f"{metric.name} needs the originals, and only their small forms were given: give low_res=FILE with the images at full "
                "size, which are then made small, or leave the metric out (consistency needs no originals)"
            )
