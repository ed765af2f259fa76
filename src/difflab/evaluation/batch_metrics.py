"""Distance and score of N generated images against a reference, accumulated batch by batch on any number of processes.

    metrics = ImageMetrics(DigitsExtractor(), data, num_images=10_000)
    metrics.reset()                                    # before each evaluation
    metrics.update(to_uint8(samples), index)           # index: which of the N images these are, 0 .. N - 1
    metrics.compute()                                  # {"fd_digits": ..., "is_digits": ..., "is_digits_std": ...}

Every image has an index, so the result does not depend on who made it in which batch. Images of an index >= N are padding (made so that all
processes run equally often) and are left out. `compute` refuses a set in which an image is missing or was counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from difflab.data.dataset import ImageSource
from difflab.distributed.collective import sum_over_processes
from difflab.evaluation.measure import measured_as, shared_fields
from difflab.evaluation.reference import ReferenceStatistics
from difflab.evaluation.statistics_file import StatisticsCache
from difflab.features.extractor import FeatureExtractor
from difflab.metrics import Frechet, Inception
from difflab.metrics.gaussian import Gaussian, Moments, frechet_distance
from difflab.metrics.inception_score import InceptionScore
from difflab.metrics.metric import Metric
from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.protocol import Protocol
from difflab.runtime.progress import reporting


class ImageMetrics:
    """Frechet distance and Inception-type score in one pass over the samples.

    extractor         names and defines the metrics
    source            the real images
    num_images        N, how many samples an evaluation has
    splits            of the score; 10 in the papers
    cache             folder of reference statistics; None for $DIFFLAB_CACHE or ~/.cache/difflab
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        source: ImageSource,
        num_images: int,
        splits: int = 10,
        cache: str | Path | None = None,
    ):
        if num_images < 2:
            raise ValueError(f"a distance needs at least 2 images, not num_images={num_images}")
        self.extractor, self.num_images, self.splits = extractor, num_images, splits
        self.reference = ReferenceStatistics(source, extractor, StatisticsCache(cache))
        self._reference_gaussian: Gaussian | None = None
        self.reset()

    def to(self, device: torch.device | str) -> ImageMetrics:
        """Moves the extractor and starts from zero."""
        self.extractor.to(device)
        self._reference_gaussian = None
        self.reset()
        return self

    def reset(self) -> None:
        identity, device = self.extractor.identity, self.extractor.device
        self._moments = Moments(identity.dimension, device)
        self._score = InceptionScore(self.num_images, identity.num_classes, self.splits, device)
        self._seen = torch.zeros(self.num_images, dtype=torch.int32, device=device)

    def update(self, images: UInt8[Tensor, "b c h w"], index: Int[Tensor, " b"]) -> None:
        if len(images) != len(index) or (index < 0).any():
            raise ValueError(f"{len(images)} images need as many indices >= 0, got {index.tolist()}")
        real = index < self.num_images
        if not real.any():
            return
        images, index = images[real.to(images.device)], index[real].to(self._seen.device)
        extracted = self.extractor(images)
        self._moments.update(extracted.features)
        if extracted.logits is not None:
            self._score.update(extracted.logits, index)
        self._seen.index_add_(0, index, torch.ones_like(index, dtype=torch.int32))

    def compute(self) -> dict[str, float]:
        """The metrics of all processes' images. All processes must call it, and all get the same numbers."""
        (seen,) = sum_over_processes([self._seen])
        if (seen != 1).any():
            i = int((seen != 1).nonzero()[0])
            raise ValueError(
                f"an evaluation of {self.num_images} images needs each index once: {int((seen == 0).sum())} are missing, "
                f"{int((seen > 1).sum())} came more than once, the first is {i} ({int(seen[i])} times). Was reset() forgotten?"
            )
        if self._reference_gaussian is None:
            what = f"{self.extractor.identity.name} features of the data"
            with reporting(what, len(self.reference.source)) as task:
                found = self.reference.gaussians(["features"], lambda done, _: task.advance(done))
            self._reference_gaussian = found["features"]
        distance = frechet_distance(self._moments.all_reduced().gaussian(), self._reference_gaussian)
        names = self.extractor.identity
        if not names.num_classes:
            return {names.distance: distance.distance}
        score = self._score.all_reduced().compute()
        spread = {f"{names.score}_std": score.std} if self.splits > 1 else {}  # one part has none
        return {names.distance: distance.distance, names.score: score.mean, **spread}

    def protocols(self, drawing: Mapping[str, Any]) -> dict[str, Protocol]:
        """Name of each number -> what one has to know before comparing it with others.

        drawing   what of it the samples are: sampler, guidance, track, seeds ...
        """
        source = self.reference.source
        setting = shared_fields(self.extractor, {"fingerprint": source.fingerprint, "images": len(source)})
        return {
            name: measured_as(metric, name, self.num_images, {**setting, **drawing})
            for metric in self._metrics
            for name in metric.names(self.extractor.identity)
        }

    def info(self) -> dict[str, MetricInfo]:
        """Name of each number -> what kind of number it is."""
        identity = self.extractor.identity
        return {name: info for metric in self._metrics for name, info in metric.info(identity).items()}

    @property
    def _metrics(self) -> list[Metric]:
        return [Frechet(), *([Inception(self.splits)] if self.extractor.identity.num_classes else [])]

    def label(self, name: str) -> str:
        """The metric's name with its number of images: fid@10k."""
        return at_count(name, self.num_images)


def at_count(name: str, num_images: int) -> str:
    """fid@50k, fid@512, fid@1.5k: numbers of different N are different metrics."""
    exact_in_k = num_images >= 1000 and num_images % 100 == 0
    return f"{name}@{num_images / 1000:g}k" if exact_in_k else f"{name}@{num_images}"
