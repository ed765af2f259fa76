"""A classifier is judged by images that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difflab.callbacks import ClassificationEvaluation, TrackEvaluation
from difflab.cli.evaluation import Evaluation
from difflab.data import DataError, ImageDataset
from difflab.metrics import MetricInfo, Protocol
from difflab.metrics.held_out import HeldOut

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from difflab.data import ImageData


class HeldOutAccuracy(Evaluation):
    """Loss and accuracies on noised images that were kept from training. The loss decides: it tells how far the probabilities, whose
    gradients guide, can be trusted.

    images        the images; conf/held_out
    tracks        which weights; none means the online ones
    num_images    how many noised images are asked
    batch_size    images that a process classifies at a time
    """

    score = "loss"
    needs_pictures = False

    def __init__(self, images: ImageDataset | dict[str, Any], tracks: Sequence[str], num_images: int, batch_size: int):
        if not isinstance(images, ImageDataset):
            raise DataError(
                "a classifier is evaluated on images that were kept from training, and none were: choose some, such as held_out=digits "
                "with data=digits_nine_tenths, held_out=cifar10 or held_out=imagenet"
            )
        if images.labels is None:
            raise DataError("the held-out images have no classes, so that nobody can say whether a classifier is right")
        self.images = images
        self.tracks = tracks
        self.num_images = num_images
        self.batch_size = batch_size
        self.fingerprint = images.fingerprint

    def watcher(self, data: ImageData, samples: Path) -> TrackEvaluation:
        mine = (self.images.image_size, self.images.channels, self.images.num_classes)
        theirs = (data.image_size, data.channels, data.num_classes)
        if mine != theirs:
            raise DataError(
                f"held_out has images of size {mine[0]} with {mine[1]} channels and {mine[2]} classes, data has {theirs[0]}, {theirs[1]} "
                f"and {theirs[2]}: choose a held_out of the same kind"
            )
        if self.images.fingerprint == data.dataset.fingerprint:
            raise DataError(
                "held_out and data are the same images, so nothing is kept from training: give each its own part"
            )
        return ClassificationEvaluation(self.images, self.tracks, self.num_images, self.batch_size)

    def protocols(self, config: DictConfig, module: Any, data: ImageData, track: str) -> dict[str, Protocol]:
        from omegaconf import OmegaConf

        setting = {
            "reference": {"fingerprint": self.images.fingerprint, "images": len(self.images)},
            "samples": self.num_images,
            "seeds": f"0 .. {self.num_images - 1}",
            "schedule": OmegaConf.to_container(config.schedule, resolve=True),
            "track": track,
            "precision": str(config.trainer.precision),
        }
        return {name: Protocol.of({**setting, "metric": {"name": name}}) for name in HeldOut.info()}

    def info(self, data: ImageData) -> dict[str, MetricInfo]:
        return HeldOut.info()

    def described(self, config: DictConfig) -> str:
        return f"{self.num_images:,} noised images of the {len(self.images):,} held-out ones every {config.eval.every:,} steps"

    def measured(self, data: ImageData) -> str:
        return f"{self.num_images:,} noised images of the {len(self.images):,} held-out ones"
