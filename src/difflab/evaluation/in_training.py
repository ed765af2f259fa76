"""How a run is evaluated while it trains: the group `evaluation`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difflab.data.subset import spread
from difflab.ema import ONLINE
from difflab.evaluation.batch_metrics import ImageMetrics, at_count
from difflab.evaluation.callback import EvaluationCallback, NoEvaluation, TrackEvaluation
from difflab.features import FeatureExtractor, to_uint8
from difflab.former_names import first_name
from difflab.metrics import MetricInfo, Protocol
from difflab.sampling import classes_of

if TYPE_CHECKING:
    from difflab.conditioning import Conditions
    from difflab.data import ImageData
    from difflab.training import TrainedModule


class Evaluation(ABC):
    """Makes the watcher that judges the weights, and says what its numbers are.

    tracks        which weights; the first of them decides
    fingerprint   of what it brings along, as part of a run's identity
    score         label of the number that is the smaller the better: best.ckpt is chosen by it
    needs_pictures   whether the data have to be such that they can be looked at, which latents cannot
    """

    tracks: Sequence[str]
    fingerprint: str
    score: str
    needs_pictures: bool = True

    @abstractmethod
    def watcher(self, data: ImageData, samples: Path) -> TrackEvaluation:
        """The watcher; it may put pictures into the folder `samples`."""

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
        """What can be judged of a model of these data: this, or less."""
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


class Samples(Evaluation):
    """Draws images and compares them with those of the data.

    extractor     names and defines the metrics
    tracks        which weights; none means the online ones
    num_samples   images of each track
    batch_size    images that a process draws at a time
    splits        parts of the samples over which the score's mean and standard deviation are taken
    grid          images in the picture
    reference_images   how many of the data's images at most, spread evenly over them, the samples are compared with; None for all
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        tracks: Sequence[str],
        num_samples: int,
        batch_size: int,
        splits: int,
        grid: int,
        reference_images: int | None = None,
    ):
        self.extractor = extractor
        self.tracks = tracks
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.splits = splits
        self.grid = grid
        self.reference_images = reference_images
        self.fingerprint = extractor.fingerprint + ("" if reference_images is None else f" {reference_images}")
        self.score = at_count(extractor.identity.distance, num_samples)

    def watcher(self, data: ImageData, samples: Path) -> TrackEvaluation:
        conditions = classes_of(None, data.num_classes, 0, self.num_samples)
        self.extractor.check((data.channels, data.image_size, data.image_size))
        return EvaluationCallback(self._metrics(data), self.tracks, self.batch_size, self.grid, samples, conditions)

    def protocols(self, config: Mapping[str, Any], module: Any, data: ImageData, track: str) -> dict[str, Protocol]:
        metrics, conditions = self._metrics(data), classes_of(None, data.num_classes, 0, self.num_samples)
        drawing = drawn_as(config, module, track, self.num_samples, conditions)
        return {metrics.label(name): protocol for name, protocol in metrics.protocols(drawing).items()}

    def info(self, data: ImageData) -> dict[str, MetricInfo]:
        metrics = self._metrics(data)
        return {metrics.label(name): info for name, info in metrics.info().items()}

    def described(self, config: Mapping[str, Any]) -> str:
        return f"{self.num_samples:,} samples every {config['eval']['every']:,} steps, {drawing_described(config)}"

    def measured(self, data: ImageData) -> str:
        return f"{self.num_samples:,} samples against the {len(data.dataset):,} images of the data"

    def _metrics(self, data: ImageData) -> ImageMetrics:
        few = self.reference_images is not None and self.reference_images < len(data.dataset)
        reference = spread(data.dataset, self.reference_images if few else None)
        return ImageMetrics(self.extractor, reference, self.num_samples, splits=self.splits)


class LossesAlone(Evaluation):
    """Of latents: there is no decoder that would make pictures of them, hence nothing to draw, to score or to choose best.ckpt by.

    Args:
        tracks: Which weights the data's evaluation would have judged.
        fingerprint: Of what that evaluation brings along, which stays a part of the run's identity.
    """

    score = ""

    def __init__(self, tracks: Sequence[str], fingerprint: str):
        self.tracks = tracks
        self.fingerprint = fingerprint

    def watcher(self, data: ImageData, samples: Path) -> TrackEvaluation:
        return NoEvaluation(self.tracks)

    def protocols(self, config: Mapping[str, Any], module: Any, data: ImageData, track: str) -> dict[str, Protocol]:
        return {}

    def info(self, data: ImageData) -> dict[str, MetricInfo]:
        return {}

    def described(self, config: Mapping[str, Any]) -> str:
        return "losses alone: latents are no pictures, and there is no decoder to make some for samples and scores"

    def measured(self, data: ImageData) -> str:
        return ""


def drawn_as(config: Mapping[str, Any], module: Any, track: str, count: int, conditions: Conditions) -> dict[str, Any]:
    """Fields of the protocol that say how images are drawn while a run trains; evaluate.py says the same of the same images."""
    from difflab.sampling.protocol import code_fields, guidance_fields, sampler_fields

    guidance, sampler = config["guidance"], config["sampler"]
    return {
        **sampler_fields(sampler, module.sampler, module.denoiser.schedule),
        **guidance_fields(guidance, module.guidance.guidances),
        **code_fields(sampler, guidance),
        "track": track,
        "seeds": f"0 .. {count - 1}",
        **conditions.fields,
        "precision": str(config["trainer"]["precision"]),
        "quantization": first_name(f"{to_uint8.__module__.rpartition('.')[0]}.{to_uint8.__name__}"),
    }


def drawing_described(config: Mapping[str, Any]) -> str:
    """The sampler and the guidance of a run, for its recipe."""
    sampler, guided = config["sampler"], ", ".join(config["guidance"]) or "none"
    return f"sampler {sampler['_target_'].rsplit('.', 1)[-1]} ({sampler['grid']['steps']} steps), guidance {guided}"
