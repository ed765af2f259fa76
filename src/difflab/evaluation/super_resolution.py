"""A super-resolution model is evaluated on images that it upsamples, each beside its original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difflab.conditioning import Conditioning, low_resolution_of
from difflab.data import ImageDataset, Shuffled
from difflab.data.subset import Spread
from difflab.evaluation.batch_metrics import ImageMetrics, at_count
from difflab.evaluation.callback import EvaluationCallback, TrackEvaluation
from difflab.evaluation.in_training import Evaluation, drawing_described, drawn_as
from difflab.evaluation.pair_scores import EnlargementMetrics, PairScores
from difflab.features import FeatureExtractor
from difflab.metrics import MetricInfo, PairMetric, Protocol
from difflab.sampling import GivenImages, NoClasses, UpsampledImages

if TYPE_CHECKING:
    from difflab.data import ImageData


class Enlargements(Evaluation):
    """Makes images small, enlarges them, and compares the set with the data's images, and each image with its original.

    extractor       names and defines the metrics of the set
    conditionings   name -> what the model is told; conf/conditioning
    images          what is enlarged: held-out images; the training images where there are none, {}
    pair_metrics    name -> metric of an image and its original
    reference_images   how many of the data's images, spread evenly over them, the set is compared with; None for all
    All others are those of `Samples`.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        conditionings: Mapping[str, Conditioning],
        images: ImageDataset | dict[str, Any],
        pair_metrics: Mapping[str, PairMetric],
        tracks: Sequence[str],
        num_samples: int,
        batch_size: int,
        splits: int,
        grid: int,
        reference_images: int | None = None,
    ):
        low_resolution = low_resolution_of(conditionings)
        if low_resolution is None:
            raise ValueError(
                "evaluation=enlargements enlarges small images, which nothing makes: choose conditioning=[low_resolution]"
            )
        self.extractor = extractor
        self.low_resolution = low_resolution
        self.images = images
        self.pair_metrics = list(pair_metrics.values())
        self.tracks = tracks
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.splits = splits
        self.grid = grid
        self.reference_images = reference_images
        self.fingerprint = f"{extractor.fingerprint} {' '.join(pair_metrics)} {reference_images}"
        if isinstance(images, ImageDataset):
            self.fingerprint += f" {images.fingerprint}"
        self.score = at_count(extractor.identity.distance, num_samples)

    def watcher(self, data: ImageData, samples: Path) -> TrackEvaluation:
        metrics, conditions = self._metrics(data), self._conditions(data)
        self.extractor.check((data.channels, data.image_size, data.image_size))
        return EvaluationCallback(metrics, self.tracks, self.batch_size, self.grid, samples, conditions)

    def protocols(self, config: Mapping[str, Any], module: Any, data: ImageData, track: str) -> dict[str, Protocol]:
        metrics = self._metrics(data)
        drawing = drawn_as(config, module, track, self.num_samples, self._conditions(data))
        return {metrics.label(name): protocol for name, protocol in metrics.protocols(drawing).items()}

    def info(self, data: ImageData) -> dict[str, MetricInfo]:
        metrics = self._metrics(data)
        return {metrics.label(name): info for name, info in metrics.info().items()}

    def described(self, config: Mapping[str, Any]) -> str:
        kind = "held-out" if isinstance(self.images, ImageDataset) else "training"
        return (
            f"{self.num_samples:,} {kind} images enlarged from {self.low_resolution.size} pixels every {config['eval']['every']:,} steps, "
            f"{drawing_described(config)}"
        )

    def measured(self, data: ImageData) -> str:
        count = len(data.dataset) if self.reference_images is None else self.reference_images
        return (
            f"{self.num_samples:,} upsampled images against {count:,} images of the data, and each against its original"
        )

    def _given(self, data: ImageData) -> GivenImages:
        source: Any = self.images if isinstance(self.images, ImageDataset) else data.dataset
        return GivenImages(Shuffled(source), self.low_resolution, (data.channels, data.image_size, data.image_size))

    def _conditions(self, data: ImageData) -> UpsampledImages:
        return UpsampledImages(self._given(data), None if data.num_classes else NoClasses(), 0)

    def _metrics(self, data: ImageData) -> EnlargementMetrics:
        count = self.reference_images
        dataset: Any = data.dataset
        reference = dataset if count is None else Spread(dataset, count)
        images = ImageMetrics(self.extractor, reference, self.num_samples, splits=self.splits)
        return EnlargementMetrics(images, PairScores(self.pair_metrics, self._given(data), self.num_samples))
