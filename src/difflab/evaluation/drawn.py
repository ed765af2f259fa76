"""Evaluations of a run while it trains that draw images: choices of the group `evaluation`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from difflab.conditioning import Conditioning, conditioned, low_resolution_of
from difflab.data import ImageDataset
from difflab.data.dataset import LabelledSource
from difflab.data.subset import spread
from difflab.evaluation.callback import EvaluationCallback, TrackEvaluation
from difflab.evaluation.evaluator import Evaluator
from difflab.evaluation.in_training import Evaluation
from difflab.evaluation.reference import ReferenceSource
from difflab.evaluation.run import check
from difflab.features import FeatureExtractor
from difflab.formatting import sampler_words
from difflab.metrics import Frechet, Inception, MetricInfo, PairMetric, Protocol, at_count
from difflab.noise import ImageNoise
from difflab.sampling.conditions import Conditions, Drawing, Several, default_for
from difflab.sampling.job import sampling_fields

if TYPE_CHECKING:
    from difflab.data import ImageData


class OfImages(Evaluation):
    """An evaluation that draws images and compares them with those of the data.

    Args:
        extractor: Names and defines the metrics.
        tracks: Which weights; none means the online ones.
        num_samples: Images of each track.
        batch_size: Images that a process draws at a time.
        splits: Parts of the samples over which the score's mean and standard deviation are taken.
        grid: Images in the picture.
        reference_images: How many of the data's images at most, spread evenly over them, the samples are compared with; None for all.
        metrics: Name -> further metric: of difflab's, or any other of torchmetrics.
        conditions: Name -> for whom images are drawn; none for what `default_for` says. conf/conditions.
        conditionings: Name -> what the model is conditioned on; conf/conditioning.
        images: Those whose conditions may be taken: held-out images; the training images where there are none, {}.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        tracks: Sequence[str],
        num_samples: int,
        batch_size: int,
        splits: int,
        grid: int,
        reference_images: int | None,
        metrics: Mapping[str, Any],
        conditions: Mapping[str, Conditions],
        conditionings: Mapping[str, Conditioning],
        images: ImageDataset | Mapping[str, Any],
    ):
        self.extractor = extractor
        self.tracks = tracks
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.splits = splits
        self.grid = grid
        self.reference_images = reference_images
        self.metrics = dict(metrics)
        self.chosen = dict(conditions)
        self.conditionings = dict(conditionings)
        self.images = images
        self.score = at_count(extractor.identity.distance, num_samples)

    def conditions(self, data: ImageData) -> Several:
        """For whom images are drawn."""
        one = data.example()
        told = conditioned(one.cond, one.x0, ImageNoise(0, one.number), self.conditionings.values())
        drawing = Drawing(
            data.seen_shape,
            data.num_classes,
            told.given,
            self.conditionings,
            lambda: self.images if isinstance(self.images, ImageDataset) else data.dataset,
            num_samples=self.num_samples,
        )
        return Several(self.chosen or default_for(drawing)).prepare(drawing)

    @abstractmethod
    def reference(self, data: ImageData) -> LabelledSource:
        """The images that those of the model are compared with."""

    def callback(self, data: ImageData, samples: Path) -> TrackEvaluation:
        check(evaluator := self._evaluator(data), data.seen_shape, self.num_samples, has_labels=False)
        conditions = self.conditions(data)
        conditions.check_told()
        evaluator.prepare(self.num_samples, conditions.pairs)
        return EvaluationCallback(evaluator, self.tracks, self.batch_size, self.grid, samples, conditions)

    def protocols(self, config: Mapping[str, Any], module: Any, data: ImageData, track: str) -> dict[str, Protocol]:
        sampling = sampling_fields(config, module, track, self.num_samples, self.conditions(data))
        return self._labelled(self._evaluator(data).protocols(sampling, self.num_samples))

    def info(self, data: ImageData) -> dict[str, MetricInfo]:
        return self._labelled(self._evaluator(data).info)

    def _labelled(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        return {at_count(name, self.num_samples): one for name, one in numbers.items()}

    def _evaluator(self, data: ImageData) -> Evaluator:
        reference = self.reference(data)
        score = {"inception_score": Inception(self.splits)} if self.extractor.identity.num_classes else {}
        metrics = {"frechet": Frechet(), **score, **self.metrics}
        return Evaluator(metrics, self.extractor, ReferenceSource.of(reference))


class Samples(OfImages):
    """Draws images and compares them with those of the data. The arguments are those of `OfImages`."""

    def __init__(
        self,
        extractor: FeatureExtractor,
        tracks: Sequence[str],
        num_samples: int,
        batch_size: int,
        splits: int,
        grid: int,
        reference_images: int | None = None,
        metrics: Mapping[str, Any] = MappingProxyType({}),
        conditions: Mapping[str, Conditions] = MappingProxyType({}),
        conditionings: Mapping[str, Conditioning] = MappingProxyType({}),
        images: ImageDataset | Mapping[str, Any] = MappingProxyType({}),
    ):
        super().__init__(
            *(extractor, tracks, num_samples, batch_size, splits, grid, reference_images),
            *(metrics, conditions, conditionings, images),
        )
        more = [*([] if reference_images is None else [str(reference_images)]), *metrics]
        if conditions and isinstance(images, ImageDataset):
            more.append(images.fingerprint)
        self.fingerprint = " ".join([extractor.fingerprint, *more])

    def reference(self, data: ImageData) -> LabelledSource:
        few = self.reference_images is not None and self.reference_images < len(data.dataset)
        return spread(data.seen, self.reference_images if few else None)

    def described(self, config: Mapping[str, Any]) -> str:
        return f"{self.num_samples:,} samples every {config['eval']['every']:,} steps, {describe_sampling(config)}"

    def measured(self, data: ImageData) -> str:
        return f"{self.num_samples:,} samples against the {len(data.dataset):,} images of the data"


class Enlargements(OfImages):
    """Downsamples images, upsamples them, and compares the set with the data's images, and each image with its original.

    Args:
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
        conditions: Mapping[str, Conditions] = MappingProxyType({}),
    ):
        low_resolution = low_resolution_of(conditionings)
        if low_resolution is None:
            raise ValueError(
                "evaluation=enlargements upsamples small images, which nothing makes: choose conditioning=[low_resolution]"
            )
        together = {**pair_metrics, **metrics}
        super().__init__(
            *(extractor, tracks, num_samples, batch_size, splits, grid, reference_images),
            *(together, conditions, conditionings, images),
        )
        self.low_resolution = low_resolution
        self.fingerprint = " ".join([extractor.fingerprint, " ".join(pair_metrics), str(reference_images)])
        if isinstance(images, ImageDataset):
            self.fingerprint += f" {images.fingerprint}"
        self.fingerprint = " ".join([self.fingerprint, *metrics])

    def reference(self, data: ImageData) -> LabelledSource:
        return spread(data.seen, self.reference_images)

    def described(self, config: Mapping[str, Any]) -> str:
        kind = "held-out" if isinstance(self.images, ImageDataset) else "training"
        return (
            f"{self.num_samples:,} {kind} images upsampled from {self.low_resolution.size} pixels every {config['eval']['every']:,} steps, "
            f"{describe_sampling(config)}"
        )

    def measured(self, data: ImageData) -> str:
        count = len(data.dataset) if self.reference_images is None else self.reference_images
        return f"{self.num_samples:,} upsampled images against {count:,} of the data, and each against its original"


def describe_sampling(config: Mapping[str, Any]) -> str:
    """The sampler and the guidance of a run, for its recipe."""
    guided = ", ".join(config["guidance"]) or "none"
    return f"sampler {sampler_words(config['sampler'], ' ({} steps)')}, guidance {guided}"
