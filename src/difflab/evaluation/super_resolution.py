"""A super-resolution model is evaluated on images that it upsamples, each beside its original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from difflab.conditioning import Conditioning, low_resolution_of
from difflab.data import ImageDataset, Shuffled
from difflab.data.dataset import LabelledSource
from difflab.data.subset import spread
from difflab.evaluation.in_training import OfImages, describe_sampling
from difflab.features import FeatureExtractor
from difflab.metrics import PairMetric
from difflab.sampling import GivenImages, NoClasses, UpsampledImages

if TYPE_CHECKING:
    from difflab.data import ImageData


class Enlargements(OfImages):
    """Downsamples images, upsamples them, and compares the set with the data's images, and each image with its original.

    Args:
        conditionings: Name -> what the model is conditioned on; conf/conditioning.
        images: What is upsampled: held-out images; the training images where there are none, {}.
        pair_metrics: Name -> metric of an image and its original.
        **others: Those of `OfImages`.
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
        metrics: Mapping[str, Any] = MappingProxyType({}),
    ):
        low_resolution = low_resolution_of(conditionings)
        if low_resolution is None:
            raise ValueError(
                "evaluation=enlargements upsamples small images, which nothing makes: choose conditioning=[low_resolution]"
            )
        together = {**pair_metrics, **metrics}
        super().__init__(extractor, tracks, num_samples, batch_size, splits, grid, reference_images, together)
        self.low_resolution = low_resolution
        self.images = images
        self.fingerprint = " ".join([extractor.fingerprint, " ".join(pair_metrics), str(reference_images)])
        if isinstance(images, ImageDataset):
            self.fingerprint += f" {images.fingerprint}"
        self.fingerprint = " ".join([self.fingerprint, *metrics])

    def conditions(self, data: ImageData) -> UpsampledImages:
        return UpsampledImages(self.pairs(data), None if data.num_classes else NoClasses(), 0)

    def pairs(self, data: ImageData) -> GivenImages:
        source: Any = self.images if isinstance(self.images, ImageDataset) else data.dataset
        return GivenImages(Shuffled(source), self.low_resolution, (data.channels, data.image_size, data.image_size))

    def reference(self, data: ImageData) -> LabelledSource:
        return spread(data.dataset, self.reference_images)

    def described(self, config: Mapping[str, Any]) -> str:
        kind = "held-out" if isinstance(self.images, ImageDataset) else "training"
        return (
            f"{self.num_samples:,} {kind} images upsampled from {self.low_resolution.size} pixels every {config['eval']['every']:,} steps, "
            f"{describe_sampling(config)}"
        )

    def measured(self, data: ImageData) -> str:
        count = len(data.dataset) if self.reference_images is None else self.reference_images
        return (
            f"{self.num_samples:,} upsampled images against {count:,} images of the data, and each against its original"
        )
