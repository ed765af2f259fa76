"""What a metric is: of a set of images, or of pairs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from jaxtyping import Float64, Int, UInt8
from torch import Tensor

from difflab.features.extractor import FeatureSet, Identity
from difflab.metrics.gaussian import Gaussian
from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.protocol import Value


class Reference(Protocol):
    """What samples are compared with."""

    @property
    def count(self) -> int:
        """How many images it was made of."""
        ...

    @property
    def columns(self) -> frozenset[str]:
        """Columns of which there is a Gaussian."""
        ...

    @property
    def features(self) -> FeatureSet | None:
        """None where only statistics are known."""
        ...

    def gaussian(self, column: str) -> Gaussian:
        """Mean and covariance of a column."""
        ...


@dataclass(frozen=True)
class Needs:
    """What a metric cannot do without; checked before any image is drawn or embedded.

    columns              of the samples
    reference_columns    of which the reference has a Gaussian
    reference_features   whether the reference must be images, not statistics alone
    labels               whether samples and reference must have labels
    samples              the smallest number of samples
    reference_images     how many of the reference's images, spread evenly over it; None for all
    references           the smallest number of the reference's images; 0 for a metric that looks at none
    """

    columns: frozenset[str] = frozenset({"features"})
    reference_columns: frozenset[str] = frozenset()
    reference_features: bool = False
    labels: bool = False
    samples: int = 2
    reference_images: int | None = None
    references: int = 0


@dataclass(frozen=True)
class Replicates:
    """How standard errors are estimated: the number of replicates and the seed of their weights."""

    count: int = 100
    seed: int = 0


class Metric(ABC):
    """One or several numbers of N samples, all from stored features.

    The value depends on which images there are and on their order of number alone, never on batches or processes.
    """

    @abstractmethod
    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        """Name -> what kind of number it is, of all numbers that it gives with this extractor, in their order.

        Names are `identity.named("precision")`: precision with Inception, precision_digits with the digits' classifier.
        """

    def names(self, identity: Identity) -> list[str]:
        """What the numbers are called with this extractor: ["fid"], ["precision_digits", "recall_digits"]."""
        return list(self.info(identity))

    @classmethod
    def declared(cls, name: str, fields: Mapping[str, Value]) -> MetricInfo | None:
        """What kind of number this is, if it is one of this metric's, by the protocol under which an earlier version measured it.

        Only metrics that come with difflab are asked. All of them have defaults, which decide over no name's kind.
        """
        extractor = fields.get("extractor.name")
        return cls().info(Identity(extractor, 0, "")).get(name) if isinstance(extractor, str) else None

    @abstractmethod
    def needs(self) -> Needs: ...

    @abstractmethod
    def protocol(self) -> dict[str, str | int | float]:
        """The metric's own settings that define its numbers: {"k": 3}, {"splits": 10}."""

    @abstractmethod
    def __call__(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        """Name -> value."""

    @abstractmethod
    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        """Name -> standard deviation that the number would have over other samples of the same size from the same model, the
        reference being what it is."""


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
