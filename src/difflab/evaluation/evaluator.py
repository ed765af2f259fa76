"""The one evaluation of difflab: metrics with the extractor and the reference that they need, while a model trains and in evaluate.py.

While a model trains images come batch by batch, and none is kept:

    evaluator = Evaluator({"fid": Frechet(), "is": Inception()}, extractor, ReferenceSource.of(data)).prepare(num_images=10_000)
    evaluator.reset()                                    # before each evaluation
    evaluator.update(to_uint8(samples), index)           # index: which of the N images these are, 0 .. N - 1
    evaluator.compute()                                  # {"fid": ..., "is": ..., "is_std": ...}

evaluate.py stores their features first, which standard errors and further metrics then read: `embed`, `load`, `measure`. It is the same
metrics that are updated and computed, with the same reference, so that one set of images has one number and one protocol.

Every image has an index, so the result does not depend on who made it in which batch. Images of an index >= N are padding (made so that all
processes run equally often) and are left out. A set in which an image is missing or was counted twice is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from difflab.data.dataset import LabelledSource
from difflab.data.file_store import cache_directory
from difflab.distributed import Processes
from difflab.distributed.group import sum_over_processes
from difflab.evaluation.image_metrics import ImageMetrics
from difflab.evaluation.reference import (
    FeatureReference,
    NoReference,
    PublishedStatistics,
    ReferenceSource,
    ReferenceStatistics,
)
from difflab.evaluation.results import Measurement
from difflab.evaluation.statistics_file import StatisticsCache
from difflab.features import FeatureExtractor, FeatureSet
from difflab.features.embed import embed
from difflab.metrics import FeatureMetric, MetricInfo, Needs, Pairs, Protocol, Reference, Replicates
from difflab.metrics.metric import check_each_once
from difflab.metrics.protocol import metric_fields
from difflab.runtime.progress import Progress, Task, reporting

Show = Callable[[str, int], AbstractContextManager[Any]]
"""(what is done, of how many images) -> what shows how far it is."""

NOTHING_TO_COMPARE_WITH = (
    "there is nothing to compare with: give reference=FILE (images or statistics) or data=NAME (a data set)"
)


class Evaluator:
    """Metrics with all that they need.

    Args:
        metrics: Name -> metric: difflab's, of sets (`Metric`) or of pairs (`PairMetric`), and any other of torchmetrics.
        extractor: Of samples and reference. It runs on the device that it is moved to.
        source: Of the reference; None if no metric looks at one.
        replicates: Of the standard errors; a count of 0 leaves them out.
        batch_size: Images that are embedded at a time.
        features: Folder of embedded images; None for the cache.
        cache: Folder of reference statistics; None for $DIFFLAB_CACHE or ~/.cache/difflab.

    Attributes:
        notes: What one should know of all its numbers.

    Raises:
        ValueError: Two metrics give a number of one name, or one compares with a reference and there is none.
        TypeError: One of them is no metric.
    """

    def __init__(
        self,
        metrics: Mapping[str, Any],
        extractor: FeatureExtractor,
        source: ReferenceSource | None,
        replicates: Replicates = Replicates(0),  # noqa: B008 (frozen)
        batch_size: int = 256,
        features: str | Path | None = None,
        cache: str | Path | None = None,
    ):
        self.metrics = [one for one in metrics.values() if isinstance(one, FeatureMetric)]
        others = {name: one for name, one in metrics.items() if not isinstance(one, FeatureMetric)}
        self.of_images = ImageMetrics(others, source, batch_size)
        self.extractor, self.source, self.batch_size = extractor, source, batch_size
        self._replicates = replicates
        self._features, self._cache = Path(features or cache_directory("features")), StatisticsCache(cache)
        self.notes = list[str]()
        self._loaded: dict[int | None, Reference] = {}
        self._device = extractor.device
        self.num_images, self._seen = 0, torch.zeros(0)
        every = [name for metric in self.metrics for name in metric.names(extractor.identity)]
        every += self.of_images.info
        if twice := sorted({name for name in every if every.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)}: two of the metrics give this number; choose one of them")
        if source is None and any(metric.needs().reference for metric in self.metrics):
            raise ValueError(NOTHING_TO_COMPARE_WITH)

    @property
    def info(self) -> dict[str, MetricInfo]:
        """Name of each number -> what kind of number it is."""
        identity = self.extractor.identity
        return {
            **{name: info for metric in self.metrics for name, info in metric.info(identity).items()},
            **self.of_images.info,
        }

    @property
    def fronts(self) -> list[tuple[str, str]]:
        """Pairs of its numbers that are drawn against each other where several settings are compared."""
        named = self.extractor.identity.named
        pairs = [(named(x), named(y)) for metric in self.metrics for x, y in metric.fronts]
        return [pair for pair in dict.fromkeys(pairs) if set(pair) <= set(self.info)]

    def protocols(self, fields: Mapping[str, Any], num_images: int) -> dict[str, Protocol]:
        """Name of each number -> what one has to know before comparing it with others.

        Args:
            fields: What of it the samples are, nested: sampler, guidance, track, seeds ...
            num_images: How many they are.
        """
        return {
            **{
                name: self._protocol(metric, name, num_images, fields)
                for metric in self.metrics
                for name in metric.names(self.extractor.identity)
            },
            **self.of_images.protocols(fields, num_images),
        }

    def _protocol(self, metric: FeatureMetric, name: str, samples: int, fields: Mapping[str, Any]) -> Protocol:
        """Of a number of a set: with a reference only if the metric looks at one."""
        identity, needs = self.extractor.identity, metric.needs()
        weights = {"weights": identity.weights} if identity.weights else {}
        source = self.source if needs.reference else None
        return Protocol.of(
            {
                "extractor": {"name": identity.name, "fingerprint": self.extractor.fingerprint, **weights},
                "preprocessing": identity.preprocessing,
                "dtype": "float32 network, float64 statistics",
                **({"reference": source.limited(needs.reference_images).fields} if source else {}),
                **fields,
                "samples": samples,
                "metric": metric_fields(name, metric),
            }
        )

    def prepare(self, num_images: int, pairs: Pairs | None = None) -> Self:
        """Makes ready for images that are to come.

        Args:
            num_images: N, over all processes.
            pairs: What each image is drawn for, in super-resolution.

        Raises:
            ValueError: A metric cannot be computed of so many images, or of images that are drawn from noise alone.
        """
        self.of_images.prepare(num_images, pairs)
        self.num_images = num_images
        for metric in self.metrics:
            metric.prepare(self.extractor.identity, num_images)
        self.reset()
        return self

    def to(self, device: torch.device | str) -> Self:
        """Moves the extractor and the metrics, and starts from zero."""
        self._device = torch.device(device)
        self.extractor.to(device)
        for metric in self.metrics:
            metric.to(device)
        self.of_images.to(device)
        self._loaded.clear()
        self.reset()
        return self

    def reset(self) -> None:
        """Forgets all images but the reference's."""
        for metric in self.metrics:
            metric.reset()
        self.of_images.reset()
        self._seen = torch.zeros(self.num_images, dtype=torch.int32, device=self._device)

    def update(self, images: UInt8[Tensor, "b c h w"], index: Int[Tensor, " b"]) -> None:
        """Adds images.

        Args:
            images: Of this process.
            index: Which of the N images they are; those from N on are padding.
        """
        if len(images) != len(index) or (index < 0).any():
            raise ValueError(f"{len(images)} images need as many indices >= 0, got {index.tolist()}")
        real = index < self.num_images
        if not real.any():
            return
        images, index = images[real.to(images.device)], index[real].to(self._device)
        if self.metrics:
            extracted = self.extractor(images)
            for metric in self.metrics:
                metric.update(extracted, index)
        self.of_images.update(images, index)
        self._seen.index_add_(0, index, torch.ones_like(index, dtype=torch.int32))

    def compute(self) -> dict[str, float]:
        """The numbers of all processes' images. All processes must call it, and all get the same numbers."""
        (seen,) = sum_over_processes([self._seen])
        check_each_once(seen)
        self._load(reporting)
        found = dict[str, float]()
        for metric in self.metrics:
            metric.reference = self._loaded.get(metric.needs().reference_images, NoReference())
            found |= {name: value.item() for name, value in metric.compute().items()}
        return found | self.of_images.compute()

    def embed(self, images: LabelledSource, processes: Processes, what: str) -> FeatureSet:
        """The features of images. All processes must call it."""
        self.extractor.to(processes.device)
        return self._embed(images, what, lambda text, count: _shown(text, count, processes))

    def _embed(self, images: LabelledSource, what: str, show: Show) -> FeatureSet:
        with show(f"{self.extractor.identity.name} features of the {what}", len(images)) as task:
            return embed(images, self.extractor, self._features, self.batch_size, lambda done, _: task.advance(done))

    def load(self, processes: Processes) -> None:
        """Embeds the reference, or takes from the cache what is known of it. All processes must call it."""
        self.extractor.to(processes.device)
        self._load(lambda text, count: _shown(text, count, processes))

    def _load(self, show: Show) -> None:
        needs = [metric.needs() for metric in self.metrics]
        for count in dict.fromkeys(need.reference_images for need in needs):
            if count not in self._loaded:
                alike = [need for need in needs if need.reference_images == count]
                self._loaded[count] = self._reference(count, alike, show)

    def _reference(self, count: int | None, needs: Sequence[Needs], show: Show) -> Reference:
        """What metrics with these needs are compared with: so many images, or all that there is."""
        source = self.source.limited(count) if self.source else ReferenceSource(None, None, "")
        images, statistics = source.images, source.statistics
        columns = frozenset[str]().union(*(need.reference_columns for need in needs))
        if any(need.reference_features for need in needs) and images is not None:
            features = self._embed(images, "reference", show)
            return FeatureReference(features) if statistics is None else PublishedStatistics(statistics, features)
        if statistics is not None:
            return PublishedStatistics(statistics)
        if images is None or not columns:
            return NoReference()
        sums = ReferenceStatistics(images, self.extractor, self._cache, batch_size=self.batch_size)
        with show(f"{self.extractor.identity.name} features of the reference", len(images)) as task:
            return PublishedStatistics(sums.gaussians(columns, lambda done, _: task.advance(done)))

    def measure(self, features: FeatureSet, fields: Mapping[str, Any]) -> list[Measurement]:
        """All numbers of one set, from stored features; `load` comes before.

        Args:
            features: Of the set.
            fields: What of the numbers' protocol the samples are, nested.
        """
        found = list[Measurement]()
        for metric in self.metrics:
            reference = self._loaded.get(metric.needs().reference_images, NoReference())
            values, infos = metric.measure(features, reference), metric.info(features.identity)
            if undeclared := sorted(set(values) - set(infos)):
                raise ValueError(
                    f"{type(metric).__name__} gives {', '.join(undeclared)}, which its `info` does not declare: that has {', '.join(infos)}"
                )
            errors = dict[str, float]()
            if self._replicates.count:
                errors = metric.standard_errors(features, reference, self._replicates)
            for name, value in values.items():
                protocol, error = self._protocol(metric, name, features.count, fields), errors.get(name)
                drawn = 0 if error is None else self._replicates.count
                found.append(Measurement.of(name, value, features.count, protocol, infos[name], error, drawn))
        return found

    @property
    def reference_digests(self) -> Tensor | None:
        """Hashes of the reference's images, where these were embedded."""
        embedded = [one.features for one in self._loaded.values() if one.features is not None]
        largest = max(embedded, key=len, default=None)
        return None if largest is None else largest.digests


@contextmanager
def _shown(what: str, count: int, processes: Processes) -> Iterator[Task]:
    """For how many of the images it is done, how fast, and the time left."""
    with Progress(shown=processes.rank == 0).task(what, count, done=None) as task:
        yield task
