"""The kinds of references: images that were embedded, statistics that others published, and both together.

Each is a `metric.Reference`. Statistics do for distances between Gaussians; metrics that compare image with image need the images.
"""

from __future__ import annotations

from collections.abc import Mapping

from difflab.metrics.cache import StatisticsCache
from difflab.metrics.feature_set import FeatureSet
from difflab.metrics.moments import Gaussian, gaussian_of

PROTOCOL_VERSION = 1
"""Raised when the way from features to statistics changes, so that older caches are not found any more."""


class FeatureReference:
    """Embedded images. A Gaussian is computed when it is first asked for, in one pass over the parts, and kept under the set's fingerprint.

    features  of the images; a set without a fingerprint is computed anew in every process
    cache     where Gaussians are kept; None for the default folder
    """

    def __init__(self, features: FeatureSet, cache: StatisticsCache | None = None):
        self._features, self._cache = features, cache or StatisticsCache()
        self._gaussians: dict[str, Gaussian] = {}

    @property
    def count(self) -> int:
        return len(self._features)

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(self._features.identity.columns)

    @property
    def features(self) -> FeatureSet | None:
        return self._features

    def gaussian(self, column: str) -> Gaussian:
        _check(column, self.columns)
        if column not in self._gaussians:
            self._gaussians[column] = self._stored(column)
        return self._gaussians[column]

    def _stored(self, column: str) -> Gaussian:
        if self._features.fingerprint is None:
            return gaussian_of(self._features, column)
        fields = {"protocol_version": PROTOCOL_VERSION, "features": self._features.fingerprint, "column": column}
        gaussian = self._cache.load(fields)
        if gaussian is None:
            gaussian = gaussian_of(self._features, column)
            self._cache.store(fields, gaussian)
        return gaussian


class PublishedStatistics:
    """Means and covariances from a file.

    gaussians  column -> Gaussian; {"features": mu and sigma, "spatial": mu_s and sigma_s}. A count of 0: the file does not say it
    """

    def __init__(self, gaussians: Mapping[str, Gaussian]):
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
        self._gaussians = {
            column: Gaussian(gaussian.mean.double(), gaussian.covariance.double(), gaussian.count)
            for column, gaussian in gaussians.items()
        }

    @property
    def count(self) -> int:
        return min(gaussian.count for gaussian in self._gaussians.values())

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(self._gaussians)

    @property
    def features(self) -> FeatureSet | None:
        return None

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


class ReferenceBatch:
    """Statistics of a whole set with some of its images, as ADM's reference batches hold them: distances between Gaussians are to the
    statistics, metrics that compare image with image see the images."""

    def __init__(self, statistics: PublishedStatistics, features: FeatureSet):
        self._statistics, self._features = statistics, features

    @property
    def count(self) -> int:
        return len(self._features)

    @property
    def columns(self) -> frozenset[str]:
        return self._statistics.columns

    @property
    def features(self) -> FeatureSet | None:
        return self._features

    def gaussian(self, column: str) -> Gaussian:
        return self._statistics.gaussian(column)


def _check(column: str, columns: frozenset[str]) -> None:
    if column not in columns:
        raise ValueError(f"the reference has no statistics of {column}, only of {', '.join(sorted(columns))}")
