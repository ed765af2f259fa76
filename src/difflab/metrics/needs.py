"""What a metric needs and is compared with, how its standard errors are estimated, and what torch-fidelity has of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from difflab.features.extractor import FeatureSet, Identity
from difflab.metrics.gaussian import Gaussian


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

    Attributes:
        columns: Of the samples.
        reference_columns: Of which the reference has a Gaussian.
        reference_features: Whether the reference must be images, not statistics alone.
        labels: Whether samples and reference must have labels.
        samples: The smallest number of samples.
        reference_images: How many of the reference's images, spread evenly over it; None for all.
        references: The smallest number of the reference's images; 0 for a metric that looks at none.
    """

    columns: frozenset[str] = frozenset({"features"})
    reference_columns: frozenset[str] = frozenset()
    reference_features: bool = False
    labels: bool = False
    samples: int = 2
    reference_images: int | None = None
    references: int = 0

    @property
    def reference(self) -> bool:
        """Whether there must be a reference at all."""
        return bool(self.reference_columns) or self.reference_features

    def check(
        self,
        name: str,
        identity: Identity,
        samples: int,
        has_labels: bool,
        reference_columns: frozenset[str],
        reference_images: int | None,
        reference_has_labels: bool,
    ) -> None:
        """Compares with what there will be. To be called before any work.

        Args:
            name: Of the metric, for errors.
            identity: Of the extractor.
            samples: How many images there will be at least.
            has_labels: Whether each has a class.
            reference_columns: Of which the reference has a Gaussian, or will have one.
            reference_images: How many images the reference has; None where it has statistics alone, or is none.
            reference_has_labels: Whether each of them has a class.

        Raises:
            ValueError: Something is lacking; one line says what to do.
        """
        if reference_images is not None:
            compared = min(self.reference_images or reference_images, reference_images)
            if compared < self.references:
                raise ValueError(
                    f"{name} needs at least {self.references} images of the reference, and it has {compared}"
                )
            if (self.reference_images or 0) > reference_images:
                raise ValueError(
                    f"{name} is to be compared with {self.reference_images:,} images of the reference, and it has {reference_images:,}: "
                    "set the metric's reference_images to at most that"
                )
        for column in sorted(self.columns - set(identity.columns)):
            raise ValueError(
                f"{name} needs {column}, which the extractor {identity.name} does not give with these weights: leave the metric out, "
                "or choose an extractor or weights that give them (`difflab weights` lists them)"
            )
        if samples < self.samples:
            raise ValueError(f"{name} needs at least {self.samples} samples, num_samples={samples}")
        if self.reference_features and reference_images is None:
            raise ValueError(
                f"{name} needs the reference's images, and the reference is a file of statistics: give images, or leave the metric out"
            )
        for column in sorted(self.reference_columns - reference_columns):
            known = ", ".join(sorted(reference_columns)) or "none"
            raise ValueError(f"{name} needs the reference's statistics of {column}; it has {known}")
        if self.labels and not has_labels:
            raise ValueError(f"{name} needs the samples' classes, and these samples have none")
        if self.labels and not reference_has_labels:
            raise ValueError(f"{name} needs the classes of the reference's images, and these have none")


@dataclass(frozen=True)
class Replicates:
    """How standard errors are estimated: the number of replicates and the seed of their weights."""

    count: int = 100
    seed: int = 0


@dataclass(frozen=True)
class Counterpart:
    """What of a metric torch-fidelity computes too, on Inception's features.

    Attributes:
        names: Of the number here -> key of it there.
        options: Of its `calculate_metrics`.
        relative: Largest difference, relative to the number, that rounding explains.
        absolute: The same in units of the number.
        images: The same in images, of a share of them.
        sees_reference: Whether it is shown the reference.
    """

    names: Mapping[str, str]
    options: Mapping[str, Any]
    relative: float = 0.0
    absolute: float = 0.0
    images: int = 0
    sees_reference: bool = True

    def tolerance(self, value: float, count: int) -> float:
        """How far two computations of this value, of so many images, may lie apart."""
        return max(self.relative * abs(value), self.absolute, self.images / count)
