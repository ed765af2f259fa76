"""What samples are compared with: images that were embedded, statistics that others published, or both together.

Each is a `metrics.Reference`. Statistics do for distances between Gaussians; metrics that compare image with image need the images.

Statistics of images are computed once per content and cached. The key holds what the numbers depend on: the data set's fingerprint, how
many of its images were used, the extractor's fingerprint and the version of this protocol. Processes share the work on a miss, and each
keeps its sums while it is at it (`PartialResults`); only process 0 reads and writes the statistics, so nodes need no common disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from difflab.config.groups import ConfigError
from difflab.data import kind_of, open_image_set
from difflab.data.dataset import ImageSource, LabelledSource
from difflab.data.source_kind import RUN, STATISTICS_NPZ
from difflab.data.subset import spread
from difflab.distributed.group import from_first_process, rank, world_size
from difflab.evaluation.statistics_file import StatisticsCache, open_statistics
from difflab.features.embed import prefetched
from difflab.features.extractor import FeatureExtractor, FeatureSet
from difflab.features.partial import PartialResults
from difflab.metrics.gaussian import Gaussian, Moments, gaussian_of

PROTOCOL_VERSION = 1
"""Raised when the way from images or features to statistics changes, so that older caches are not found any more."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReferenceSource:
    """What samples are compared with, before anything is embedded.

    Attributes:
        images: To be embedded; None where there are statistics alone.
        statistics: Column -> Gaussian, where a file states them.
        fingerprint: Of the images, or of the statistics where there are any.
        note: What one should know of it.
    """

    images: LabelledSource | None
    statistics: dict[str, Gaussian] | None
    fingerprint: str
    note: str | None = None

    @classmethod
    def of(cls, images: LabelledSource) -> ReferenceSource:
        """Images alone."""
        return cls(images, None, images.fingerprint)

    @property
    def fields(self) -> dict[str, Any]:
        images: dict[str, Any] = {} if self.images is None else {"images": len(self.images)}
        if self.statistics is None or self.images is None:
            return {"fingerprint": self.fingerprint, **images}
        return {"fingerprint": self.fingerprint, "batch": {"fingerprint": self.images.fingerprint, **images}}

    def limited(self, count: int | None) -> ReferenceSource:
        """Of a metric that is compared with so many of the images; None for all that there is."""
        if count is None or self.images is None:
            return self
        images = self.images if count == len(self.images) else spread(self.images, count)
        return ReferenceSource.of(images)


def reference_of_file(
    path: str, count: int | None, value_range: tuple[float, float] | None, extractor: FeatureExtractor
) -> ReferenceSource:
    """What a file or folder holds to be compared with: images, statistics, or both.

    Args:
        path: Of the file or folder.
        count: How many of its images, spread evenly over it; None for all.
        value_range: Black and white in an npz of floats.
        extractor: Of the samples; statistics have to be of its features.
    """
    kind = kind_of(path)
    if kind is RUN:
        raise ConfigError(f"reference={path} is a run: name its data by data=..., or images drawn from it")
    images = None
    if kind is not STATISTICS_NPZ:
        images = spread(open_image_set(path, value_range), count)
    if kind.has_statistics:
        file = open_statistics(path, extractor)
        return ReferenceSource(images, file.gaussians, file.fingerprint, file.open_question(path, extractor.identity))
    assert images is not None
    return ReferenceSource.of(images)


class ReferenceStatistics:
    """The Gaussians of a source's features: sums over its images, none of which is kept.

    Args:
        source: The real images.
        extractor: As used for the samples; it must be on its device before a Gaussian is asked for.
        cache: Where Gaussians are kept; None for the default folder.
        batch_size: Images that are embedded at a time.
    """

    def __init__(
        self,
        source: ImageSource,
        extractor: FeatureExtractor,
        cache: StatisticsCache | None = None,
        batch_size: int = 256,
    ):
        if len(source) < 2:
            raise ValueError(f"a reference of {len(source)} images: a covariance needs 2")
        self.source, self.extractor, self.batch_size = source, extractor, batch_size
        self.cache = cache or StatisticsCache()

    @property
    def fields(self) -> dict[str, str | int]:
        """What defines the statistics of the pooled features."""
        return {
            "protocol_version": PROTOCOL_VERSION,
            "reference": self.source.fingerprint,
            "reference_images": len(self.source),
            "extractor": self.extractor.identity.name,
            "extractor_fingerprint": self.extractor.fingerprint,
        }

    def gaussians(
        self, columns: Collection[str], progress: Callable[[int, int], None] | None = None
    ) -> dict[str, Gaussian]:
        """Mean and covariance of each column, on the extractor's device: from the cache, else computed, all that are missing in one pass.

        All processes must call it.

        Args:
            columns: Names of columns of the extractor's features.
            progress: Called with (images done, N) at the beginning and after every batch; of several processes all are taken to be as
                far as this.
        """
        found = {column: self._cached(column) for column in sorted(columns)}
        missing = [column for column, gaussian in found.items() if gaussian is None]
        if missing:
            for column, moments in self._moments(missing, progress).items():
                gaussian = moments.all_reduced().gaussian()
                if rank() == 0:
                    self.cache.store(self._key(column), gaussian)
                found[column] = gaussian
        return {column: gaussian for column, gaussian in found.items() if gaussian is not None}

    def _key(self, column: str) -> dict[str, str | int]:
        return self.fields | ({} if column == "features" else {"column": column})

    def _cached(self, column: str) -> Gaussian | None:
        cached = self.cache.load(self._key(column)) if rank() == 0 else None
        d, device = self.extractor.identity.columns[column], self.extractor.device
        found, mean, covariance = from_first_process(
            [
                torch.tensor(float(cached is not None), dtype=torch.float64, device=device),
                cached.mean.to(device) if cached else torch.zeros(d, dtype=torch.float64, device=device),
                cached.covariance.to(device) if cached else torch.zeros(d, d, dtype=torch.float64, device=device),
            ]
        )
        return Gaussian(mean, covariance, len(self.source)) if found else None

    def _moments(self, columns: list[str], progress: Callable[[int, int], None] | None) -> dict[str, Moments]:
        """This process's share of the sums."""
        if rank() == 0:
            _log.info("reference statistics of %d images by %s, once", len(self.source), self.extractor.identity.name)
        identity, device = self.extractor.identity, self.extractor.device
        moments = {column: Moments(identity.columns[column], device) for column in columns}
        mine = range(rank(), len(self.source), world_size())
        partial = self._partial(columns)
        done, sums = partial.load()
        for name, value in sums.items():
            column, _, part = name.rpartition(".")
            moments[column].sums[part].copy_(value)

        def report() -> None:
            if progress is not None:
                progress(done * len(self.source) // max(len(mine), 1), len(self.source))

        report()
        batches = [mine[start : start + self.batch_size] for start in range(done, len(mine), self.batch_size)]
        for images in prefetched(self.source.images, batches):
            extracted = self.extractor(self.extractor.admitted(images))._asdict()
            for column in columns:
                moments[column].update(extracted[column])
            done += len(images)
            report()
            if partial.is_due():
                sums = {f"{column}.{part}": value for column, m in moments.items() for part, value in m.sums.items()}
                partial.save(done, sums)
        partial.remove()
        return moments

    def _partial(self, columns: list[str]) -> PartialResults:
        """This process's sums over its first images."""
        fields = self.fields | {
            "columns": " ".join(columns),
            "process": f"{rank()} of {world_size()}",
            "batch_size": self.batch_size,
        }
        return PartialResults(self.cache.path(fields).with_suffix(".begun"), fields)


class FeatureReference:
    """Embedded images. A Gaussian is computed when it is first asked for, in one pass over the parts, and kept under the set's fingerprint.

    Args:
        features: Of the images; a set without a fingerprint is computed anew in every process.
        cache: Where Gaussians are kept; None for the default folder.
    """

    def __init__(self, features: FeatureSet, cache: StatisticsCache | None = None):
        self.features, self._cache = features, cache or StatisticsCache()
        self._gaussians: dict[str, Gaussian] = {}

    @property
    def count(self) -> int:
        return len(self.features)

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(self.features.identity.columns)

    def gaussian(self, column: str) -> Gaussian:
        _check(column, self.columns)
        if column not in self._gaussians:
            self._gaussians[column] = self._stored(column)
        return self._gaussians[column]

    def _stored(self, column: str) -> Gaussian:
        if self.features.fingerprint is None:
            return gaussian_of(self.features, column)
        fields = {"protocol_version": PROTOCOL_VERSION, "features": self.features.fingerprint, "column": column}
        gaussian = self._cache.load(fields)
        if gaussian is None:
            gaussian = gaussian_of(self.features, column)
            self._cache.store(fields, gaussian)
        return gaussian


class PublishedStatistics:
    """Means and covariances from a file, and as in ADM's reference batches some of the images as well.

    Args:
        gaussians: Column -> Gaussian; {"features": mu and sigma, "spatial": mu_s and sigma_s}. A count of 0: the file does not say it.
        features: Of the images, which metrics see that compare image with image; None where there are none.
    """

    def __init__(self, gaussians: Mapping[str, Gaussian], features: FeatureSet | None = None):
        if not gaussians:
            raise ValueError(
                "published statistics hold no Gaussian: expected mu and sigma, or mu_s and sigma_s, at least"
            )
        for column, gaussian in gaussians.items():
            d = gaussian.mean.numel()
            if gaussian.mean.shape != (d,) or gaussian.covariance.shape != (d, d):
                raise ValueError(
                    f"the mean of {column} is {list(gaussian.mean.shape)} and its covariance {list(gaussian.covariance.shape)}: "
                    "expected [D] and [D, D]"
                )
        self.features = features
        self._gaussians = {
            column: Gaussian(gaussian.mean.double(), gaussian.covariance.double(), gaussian.count)
            for column, gaussian in gaussians.items()
        }

    @property
    def count(self) -> int:
        return len(self.features) if self.features else min(one.count for one in self._gaussians.values())

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(self._gaussians)

    def gaussian(self, column: str) -> Gaussian:
        _check(column, self.columns)
        return self._gaussians[column]


class NoReference:
    """For metrics that look at the samples alone."""

    count = 0
    columns: frozenset[str] = frozenset()
    features: FeatureSet | None = None

    def gaussian(self, column: str) -> Gaussian:
        raise ValueError(f"there is no reference, hence no statistics of {column}")


def _check(column: str, columns: frozenset[str]) -> None:
    if column not in columns:
        raise ValueError(f"the reference has no statistics of {column}, only of {', '.join(sorted(columns))}")
