"""What a metric of an image and the one that it was drawn for is."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from jaxtyping import Float64, Int, UInt8
from torch import Tensor

from difflab.metrics.metric import Declaring, each_once, listed
from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.protocol import Value


class Pairs(Protocol):
    """What images were drawn for, by their numbers 0 .. N - 1.

    Attributes:
        has_originals: Whether the images themselves are known, not their small forms alone.
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


class PairMetric(Declaring):
    """The mean over images of a value that each image has beside what it was drawn for.

    torchmetrics' PSNR, SSIM and LPIPS keep a mean; this keeps the value of each image, by its number, so that the mean has a standard error
    and does not depend on batches and processes. The values themselves are torchmetrics' own.

    Attributes:
        name: psnr, ssim, ...
        needs_originals: Whether small forms do not do.
    """

    _called = "values"
    name: str
    needs_originals: bool
    index: list[Tensor]
    value: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("index", [], dist_reduce_fx="cat")
        self.add_state("value", [], dist_reduce_fx="cat")

    @abstractmethod
    def info(self) -> MetricInfo:
        """What kind of number it is: `self.kind(label)`."""

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

    @property
    def networks(self) -> Sequence[Any]:
        """What it runs images through; each can be moved by `to(device)`. They are no submodules, and enter no checkpoint.

        Raises:
            ValueError: Their weights are not at hand.
        """
        return ()

    @abstractmethod
    def values(self, images: UInt8[Tensor, "b c h w"], pairs: Pairs, index: Int[Tensor, " b"]) -> Float64[Tensor, " b"]:
        """The value of each image.

        Args:
            images: Drawn ones.
            pairs: What they were drawn for.
            index: Which of the N images they are.
        """

    def update(self, images: UInt8[Tensor, "b c h w"], pairs: Pairs, index: Int[Tensor, " b"]) -> None:
        """Adds images, see `values`."""
        self.value.append(self.values(images, pairs, index).to(self.device, torch.float64))
        self.index.append(index.to(self.device))

    def compute(self) -> Float64[Tensor, ""]:
        """The mean over the images of all processes. All of them must call it."""
        return self._in_order().mean()

    def standard_error(self) -> float:
        """Of the mean, images being independent. All processes must call it."""
        with self.sync_context():
            values = self._in_order()
        return (values.std() / math.sqrt(len(values))).item()

    def _in_order(self) -> Float64[Tensor, " n"]:
        """By the images' numbers."""
        index, value = torch.cat(listed(self.index)), torch.cat(listed(self.value))
        return value[each_once(index.cpu(), len(index)).to(value.device)]


class ComparesPairs(Protocol):
    """A metric of an image and what it was drawn for, by its name and by what it needs."""

    name: str
    needs_originals: bool


def check_pairs(metrics: Sequence[ComparesPairs], pairs: Pairs | None) -> None:
    """Raises a ValueError for the first metric that cannot be computed. To be called before any work."""
    for metric in metrics:
        if pairs is None:
            raise ValueError(
                f"{metric.name} compares each image with what it was drawn for, which super-resolution alone has: leave it out of metric"
            )
        if metric.needs_originals and not pairs.has_originals:
            raise ValueError(
                f"{metric.name} needs the originals, and only their small forms were given: give low_res=FILE with the images at full "
                "size, which are then downsampled, or leave the metric out (consistency needs no originals)"
            )
