"""How a run is evaluated while it trains: the group `evaluation`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from difflab.conditioning import Conditioning, Conditions, low_resolution_of
from difflab.data import ImageDataset, Shuffled
from difflab.data.dataset import LabelledSource
from difflab.data.subset import spread
from difflab.ema import ONLINE
from difflab.evaluation.callback import EvaluationCallback, NoEvaluation, TrackEvaluation
from difflab.evaluation.evaluator import Evaluator
from difflab.evaluation.reference import ReferenceSource
from difflab.evaluation.run import check
from difflab.features import FeatureExtractor
from difflab.formatting import sampler_words
from difflab.metrics import Frechet, Inception, MetricInfo, PairMetric, Pairs, Protocol, at_count
from difflab.sampling import GivenImages, NoClasses, UpsampledImages, classes_of
from difflab.sampling.job import sampling_fields

if TYPE_CHECKING:
    from difflab.data import ImageData
    from difflab.training import TrainedModule


class Evaluation(ABC):
    """Makes the callback that evaluates the weights, and says what its numbers are.

    Attributes:
        tracks: Which weights; the first of them decides.
        fingerprint: Of what it brings along, as part of a run's identity.
        score: Label of the number that is the smaller the better: best.ckpt is chosen by it.
        needs_pictures: Whether the data have to be such that they can be looked at, which latents cannot.
    """

    tracks: Sequence[str]
    fingerprint: str
    score: str
    needs_pictures: bool = True

    @abstractmethod
    def callback(self, data: ImageData, samples: Path) -> TrackEvaluation:
        """The callback; it may put pictures into the folder `samples`."""

    @abstractmethod
    def protocols(self, config: Mapping[str, Any], module: Any, data: ImageData, track: str) -> dict[str, Protocol]:
        """Label -> what one has to know before comparing the number with others."""

    @abstractmethod
    def info(self, data: ImageData) -> dict[str, MetricInfo]:
        """Label -> what kind of number it is."""

    @abstractmethod
    def described(self, config: Mapping[str, Any]) -> str:
        """For the recipe of a run."""

    def fitting(self, data: ImageData) -> Evaluation:
        """What can be evaluated of a model of these data: this, or less."""
        return (
            self if data.dataset.are_pictures or not self.needs_pictures else LossesAlone(self.tracks, self.fingerprint)
        )

    @abstractmethod
    def measured(self, data: ImageData) -> str:
        """How many images are measured, and against what, for the lines of an evaluation; nothing where there is none."""

    @property
    def monitor(self) -> str:
        """The score of the first track."""
        return f"eval/{next(iter(self.tracks), ONLINE)}/{self.score}"

    def scores(self, data: ImageData) -> dict[str, MetricInfo]:
        """eval/<track>/<label> -> what kind of number it is."""
        infos = self.info(data)
        return {f"eval/{track}/{label}": info for track in self.tracks or [ONLINE] for label, info in infos.items()}

    def all_protocols(self, config: Mapping[str, Any], module: TrainedModule[Any], data: ImageData) -> dict[str, Any]:
        """eval/<track>/<label> -> the fields that define it, their fingerprint, and what kind of number it is."""
        infos = self.info(data)
        if infos and (self.score not in infos or infos[self.score].higher_is_better is not False):
            raise ValueError(
                f"{type(self).__name__}.score = {self.score}: best.ckpt is the checkpoint at which it is lowest, so it names a number that "
                f"declares higher_is_better=False, of {', '.join(n for n, i in infos.items() if i.higher_is_better is False) or 'none'}"
            )
        return {
            f"eval/{track}/{label}": {
                "fingerprint": protocol.fingerprint,
                "info": infos[label].to_json(),
                **protocol.fields,
            }
            for track in self.tracks or [ONLINE]
            for label, protocol in self.protocols(config, module, data, track).items()
        }


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
    ):
        self.extractor = extractor
        self.tracks = tracks
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.splits = splits
        self.grid = grid
        self.reference_images = reference_images
        self.metrics = dict(metrics)
        self.score = at_count(extractor.identity.distance, num_samples)

    @abstractmethod
    def conditions(self, data: ImageData) -> Conditions:
        """What images are drawn for, by seed."""

    @abstractmethod
    def pairs(self, data: ImageData) -> Pairs | None:
        """What each image is compared with; None where there is nothing."""

    @abstractmethod
    def reference(self, data: ImageData) -> LabelledSource:
        """The images that those of the model are compared with."""

    def callback(self, data: ImageData, samples: Path) -> TrackEvaluation:
        shape = (data.channels, data.image_size, data.image_size)
        check(evaluator := self._evaluator(data), shape, self.num_samples, has_labels=False)
        evaluator.prepare(self.num_samples, self.pairs(data))
        return EvaluationCallback(evaluator, self.tracks, self.batch_size, self.grid, samples, self.conditions(data))

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
    ):
        super().__init__(extractor, tracks, num_samples, batch_size, splits, grid, reference_images, metrics)
        more = [*([] if reference_images is None else [str(reference_images)]), *metrics]
        self.fingerprint = " ".join([extractor.fingerprint, *more])

    def conditions(self, data: ImageData) -> Conditions:
        return classes_of(None, data.num_classes, 0, self.num_samples)

    def pairs(self, data: ImageData) -> Pairs | None:
        return None

    def reference(self, data: ImageData) -> LabelledSource:
        few = self.reference_images is not None and self.reference_images < len(data.dataset)
        return spread(data.dataset, self.reference_images if few else None)

    def described(self, config: Mapping[str, Any]) -> str:
        return f"{self.num_samples:,} samples every {config['eval']['every']:,} steps, {describe_sampling(config)}"

    def measured(self, data: ImageData) -> str:
        return f"{self.num_samples:,} samples against the {len(data.dataset):,} images of the data"


class LossesAlone(Evaluation):
    """Of latents: there is no decoder that would make pictures of them, hence nothing to draw, to score or to choose best.ckpt by.

    Args:
        tracks: Which weights the data's evaluation would have evaluated.
        fingerprint: Of what that evaluation brings along, which stays a part of the run's identity.
    """

    score = ""

    def __init__(self, tracks: Sequence[str], fingerprint: str):
        self.tracks = tracks
        self.fingerprint = fingerprint

    def callback(self, data: ImageData, samples: Path) -> TrackEvaluation:
        return NoEvaluation(self.tracks)

    def protocols(self, config: Mapping[str, Any], module: Any, data: ImageData, track: str) -> dict[str, Protocol]:
        return {}

    def info(self, data: ImageData) -> dict[str, MetricInfo]:
        return {}

    def described(self, config: Mapping[str, Any]) -> str:
        return "losses alone: latents are no pictures, and there is no decoder to make some for samples and scores"

    def measured(self, data: ImageData) -> str:
        return ""


def describe_sampling(config: Mapping[str, Any]) -> str:
    """The sampler and the guidance of a run, for its recipe."""
    guided = ", ".join(config["guidance"]) or "none"
    return f"sampler {sampler_words(config['sampler'], ' ({} steps)')}, guidance {guided}"


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
        return f"{self.num_samples:,} upsampled images against {count:,} of the data, and each against its original"
