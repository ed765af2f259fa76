"""What evaluate.py compares samples with, before anything of it is embedded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from difflab.config.keys import ConfigError
from difflab.data import kind_of, open_image_set
from difflab.data.dataset import LabelledSource
from difflab.data.source_kind import RUN, STATISTICS_NPZ
from difflab.data.subset import spread
from difflab.evaluation.statistics_file import StatisticsFile, open_statistics
from difflab.features import FeatureExtractor
from difflab.metrics import Gaussian


@dataclass(frozen=True)
class ReferenceSource:
    """What samples are compared with, before anything is embedded.

    images       to be embedded; None where there are statistics alone
    statistics   column -> Gaussian, where a file states them
    fingerprint  of the images, or of the statistics where there are any
    note         what one should know of it
    """

    images: LabelledSource | None
    statistics: dict[str, Gaussian] | None
    fingerprint: str
    note: str | None = None

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
        return ReferenceSource(images, None, images.fingerprint)


def reference_of_file(config: DictConfig, extractor: FeatureExtractor) -> ReferenceSource:
    """What reference=FILE is compared with: images, statistics, or both."""
    kind = kind_of(config.reference)
    if kind is RUN:
        raise ConfigError(f"reference={config.reference} is a run: name its data by data=..., or images drawn from it")
    value_range = None if config.value_range is None else tuple(config.value_range)
    images = None
    if kind is not STATISTICS_NPZ:
        images = spread(open_image_set(config.reference, value_range), config.reference_images)
    if kind.has_statistics:
        file = open_statistics(config.reference, extractor)
        return ReferenceSource(images, file.gaussians, file.fingerprint, _unsaid(config.reference, file, extractor))
    assert images is not None
    return ReferenceSource(images, None, images.fingerprint)


def _unsaid(path: str, file: StatisticsFile, extractor: FeatureExtractor) -> str | None:
    """What a file of statistics leaves open."""
    if file.extractor is not None and file.extractor[1]:
        return None
    identity = extractor.identity
    count = "" if file.gaussians["features"].count else ", nor of how many images,"
    of_inception = identity.name == "inception"
    hint = "" if of_inception else "; published ones are Inception's"
    return (
        f"{path} does not say of which extractor and resize{count} its statistics are: the number holds if they are those of "
        f"{identity.name} ({identity.preprocessing}){hint}"
    )
