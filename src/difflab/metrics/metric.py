"""What a metric of a set of images is; metrics/images.py has those of an image and what it was drawn for.

Both kinds are `torchmetrics.Metric`s: declared states, `update`, `compute`, synchronisation over processes, `plot`. They work in any
LightningModule as well as in difflab's evaluation. What they add is what a comparison needs: the number of each image, so that order,
batches and processes have no influence, standard errors, and a declaration of what each number is.
"""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
import torchmetrics
from jaxtyping import Int
from torch import Tensor

from difflab.distributed.group import rank, sum_over_processes, world_size
from difflab.features.extractor import Features, FeatureSet, Identity
from difflab.metrics.needs import Counterpart, Needs, Reference, Replicates
from difflab.metrics.protocol import MetricInfo, Value


class Declaring(torchmetrics.Metric):
    """A metric of torchmetrics whose class says which way its number is better and where it lies.

    Attributes:
        higher_is_better: None where the number is neither good nor bad.
        plot_lower_bound: The lowest value that the number can have; None where there is none. Intervals are cut there.
        plot_upper_bound: The highest one.
    """

    is_differentiable = False
    full_state_update = False
    higher_is_better: ClassVar[bool | None] = None  # type: ignore[misc]
    plot_lower_bound: ClassVar[float | None] = 0.0  # type: ignore[misc]
    plot_upper_bound: ClassVar[float | None] = None  # type: ignore[misc]
    _called: ClassVar[str]
    """The method that `__call__` was in earlier versions."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__call__" in vars(cls):
            warnings.warn(
                f"{cls.__qualname__}.__call__ is called {cls._called} now, since a metric is a torchmetrics.Metric: rename it, and let its "
                "constructor call super().__init__()",
                stacklevel=3,
            )
            setattr(cls, cls._called, vars(cls)["__call__"])
            del cls.__call__

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draws values between the bounds that the class states.

        Args:
            val: One value or several, as `compute` gives them; None for that of now.
            ax: Of matplotlib, to draw into.

        Returns:
            Figure and axes of matplotlib.
        """
        return self._plot(val, ax)

    @classmethod
    def kind(cls, label: str, unit: str = "", ratio: bool = False) -> MetricInfo:
        """The declaration of the metric's first number: what the class says of it, and how people call it."""
        low, high = cls.plot_lower_bound, cls.plot_upper_bound
        bounds = -math.inf if low is None else low, math.inf if high is None else high
        return MetricInfo(cls.higher_is_better, bounds, unit, ratio, label)


class FeatureMetric(Declaring):
    """One or several numbers of N images, from their features: what `Metric` and `StreamedMetric` have in common.

    The value depends on which images there are and on their order of number alone, never on batches or processes.

    Attributes:
        fronts: Pairs of numbers that settings of sampling trade for each other (ADM, figures 4 and 5), as `Identity.named` takes them; a
            sweep draws each, the first along x.
        counterpart: What of it torch-fidelity computes too; None for nothing.
    """

    _called = "measure"
    fronts: ClassVar[tuple[tuple[str, str], ...]] = ()
    reference: Reference | None = None
    identity: Identity | None = None
    num_images: int = 0

    @abstractmethod
    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        """Name -> what kind of number it is, of all numbers that it gives with this extractor, in their order.

        Names are `identity.named("precision")`: precision with Inception, precision_digits with the digits' classifier. The first is
        what the attributes of the class declare: `self.kind(label)`.
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
    def measure(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        """The numbers of images whose features are stored, by name. No other process takes part."""

    @abstractmethod
    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        """Name -> standard deviation that the number would have over other samples of the same size from the same model.

        The reference is taken as what it is.
        """

    @property
    def counterpart(self) -> Counterpart | None:
        return None

    def prepare(self, identity: Identity, num_images: int, reference: Reference | None = None) -> Self:
        """Declares the states for images that are to come.

        Args:
            identity: Of the extractor.
            num_images: N, over all processes.
            reference: What they are compared with; it may be given later, before `compute`, as the attribute of that name.
        """
        self.identity, self.num_images, self.reference = identity, num_images, reference
        self._declare_states(identity, num_images)
        return self

    @abstractmethod
    def _declare_states(self, identity: Identity, num_images: int) -> None: ...

    @abstractmethod
    def update(self, features: Features, index: Int[Tensor, " b"] | None = None, labels: Tensor | None = None) -> None:
        """Adds images of which no process has added any yet.

        Args:
            features: Of the images [B].
            index: Which of the N images they are, 0 .. N - 1; others are padding. None where the processes take turns, as Lightning deals
                out a data set: the i-th image that process r of W is shown is then image i W + r.
            labels: Classes, for a metric that needs them.
        """

    @abstractmethod
    def compute(self) -> dict[str, Tensor]:
        """Name -> value, float64, of the images of all processes. All of them must call it."""

    def _numbers(self, count: int, index: Int[Tensor, " b"] | None) -> Int[Tensor, " b"]:
        """The numbers of the images of a batch, on the metric's device."""
        if self.identity is None:
            raise RuntimeError(f"{type(self).__name__}.prepare(identity, num_images, reference) comes before update")
        if index is None:
            first, self._shown = getattr(self, "_shown", 0), getattr(self, "_shown", 0) + count
            index = torch.arange(first, first + count) * world_size() + rank()
        if len(index) != count or (index < 0).any():
            raise ValueError(f"{count} images need as many indices >= 0, got {index.tolist()}")
        return index.to(self.device)

    def reset(self) -> None:
        """Forgets all images."""
        super().reset()
        self._shown = 0

    def _compared_with(self) -> Reference:
        if self.reference is None and self.needs().reference:
            raise RuntimeError(f"{type(self).__name__} compares with a reference: give it to prepare")
        return self.reference  # type: ignore[return-value]


class Metric(FeatureMetric):
    """One or several numbers of N images, from their features.

    In a LightningModule, with an extractor and a reference of difflab's (`FeatureReference`, `PublishedStatistics`):

        self.kid = Kernel().prepare(extractor.identity, 10_000, reference)
        self.kid.update(extractor(images), index)      # uint8 images, and which of the 10,000 they are
        self.log_dict(self.kid.compute())              # {"kid": ..., "kid_std": ...}

    A metric that derives from this class defines `measure`; its states are the features. One whose numbers follow from sums derives from
    `StreamedMetric`.
    """

    index: list[Tensor]
    labels: list[Tensor]

    def __init__(self) -> None:
        super().__init__()

    def _declare_states(self, identity: Identity, num_images: int) -> None:
        for name in ("index", "labels", *identity.columns):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, features: Features, index: Int[Tensor, " b"] | None = None, labels: Tensor | None = None) -> None:
        """Keeps the features of the images, see `FeatureMetric.update`."""
        index = self._numbers(len(features.features), index)
        mine = index < self.num_images
        self.index.append(index[mine])
        if labels is not None:
            self.labels.append(labels.to(index.device)[mine])
        for name, values in features._asdict().items():
            if values is not None:
                getattr(self, name).append(values.to(self.device)[mine])

    def compute(self) -> dict[str, Tensor]:
        """Name -> value, float64, of the images of all processes. All of them must call it."""
        index = torch.cat(listed(self.index)).cpu()
        order = each_once(index, self.num_images)
        assert self.identity is not None
        columns = {name: torch.cat(listed(getattr(self, name))).cpu()[order] for name in self.identity.columns}
        labels = torch.cat(listed(self.labels)).long().cpu()[order] if len(self.labels) else None
        values = self.measure(FeatureSet(self.identity, [columns], labels), self._compared_with())
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


class StreamedMetric(FeatureMetric):
    """A metric whose numbers follow from sums over the images: memory is that of the sums, whatever N is.

    The states are sums, which are all-reduced where torchmetrics would gather them from all processes first: D^2 numbers of each of 64
    processes would not fit. `measure` is `self._streamed(samples, reference)`.
    """

    def __init__(self) -> None:
        super().__init__(dist_sync_fn=lambda state, group=None: sum_over_processes([state]))

    def _streamed(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        """The numbers of images whose features are stored, in one pass over them. No other process takes part."""
        self.prepare(samples.identity, len(samples), reference)
        self.to("cpu")
        for start, features in samples.batches():
            self.update(features, torch.arange(start, start + len(features.features)))
        return {name: value.item() for name, value in type(self).compute(self).items()}


def listed(state: list[Tensor] | Tensor) -> list[Tensor]:
    """A state of parts: a list in one process, a tensor after synchronisation."""
    return [state] if isinstance(state, Tensor) else state


def each_once(index: Int[Tensor, " m"], count: int) -> Int[Tensor, " n"]:
    """The order in which images have rising numbers.

    Raises:
        ValueError: An image is missing, or was shown twice.
    """
    seen = index.long().bincount(minlength=count)
    check_each_once(seen)
    return index.argsort()


def check_each_once(seen: Int[Tensor, " n"]) -> None:
    """Raises a ValueError if one of N images was not shown just once.

    Args:
        seen: How often each was shown.
    """
    if (seen != 1).any():
        i = int((seen != 1).nonzero()[0])
        raise ValueError(
            f"an evaluation of {len(seen)} images needs each index once: {int((seen == 0).sum())} are missing, "
            f"{int((seen > 1).sum())} came more than once, the first is {i} ({int(seen[i])} times). Was reset() forgotten?"
        )
