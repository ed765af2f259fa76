"""A noisy classifier is evaluated on images that it was not trained on."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from difflab.classifier import NoisyClassifier
from difflab.data import DataError, ImageDataset
from difflab.distributed.group import sum_over_processes
from difflab.evaluation.callback import TrackEvaluation
from difflab.evaluation.in_training import Evaluation
from difflab.metrics import MetricInfo, Protocol
from difflab.metrics.protocol import HeldOut
from difflab.noise import ImageNoise
from difflab.objectives import classification_terms
from difflab.process import perturb
from difflab.runtime.progress import reporting
from difflab.samplers import shares
from difflab.training.callbacks.sockets import ObjectiveCallback, time_quarter
from difflab.types import Condition, Label

if TYPE_CHECKING:
    from difflab.data import ImageData


QUARTERS = ObjectiveCallback.QUARTERS


class LabelledImages(typing.Protocol):
    """A set of images with a class each: what `data` offers."""

    def condition(self, indices: Tensor) -> Condition: ...

    def __len__(self) -> int: ...

    def images(self, indices: Sequence[int]) -> Tensor:
        """[B, C, H, W] without random augmentation: uint8, or floating point for data that are no pixels."""
        ...


class ClassificationEvaluation(TrackEvaluation):
    """N held-out images, each noised once, split over all processes.

    Image i of the set, again from its beginning after its end, is noised at a time and with noise that are functions of i alone. Logged are
    the means of the cross-entropy `loss` and of `top1` and `top5`, and those of each quarter of time, <term>_q1 (the cleanest) ..
    <term>_q4.

    Args:
        images: The held-out images.
        tracks: Which weights; none means the online ones.
        num_images: N.
        batch_size: Images that a process classifies at a time.
    """

    def __init__(self, images: LabelledImages, tracks: Sequence[str], num_images: int, batch_size: int):
        super().__init__(tracks)
        if batch_size < 1 or num_images < 1:
            raise ValueError(f"eval.batch_size={batch_size} and eval.num_samples={num_images} must be at least 1")
        self.images = images
        self.num_images = num_images
        self.batch_size = batch_size

    def check_model(self, pl_module: Any) -> None:
        return

    def scores(self, trainer: pl.Trainer, pl_module: Any, track: str) -> dict[str, float]:
        with trainer.precision_plugin.val_step_context(), reporting(f"evaluation of {track}", self.num_images) as task:
            return self.evaluate(
                pl_module.model, pl_module.device, trainer.global_rank, trainer.world_size, task.advance
            )

    @torch.no_grad()
    def evaluate(
        self,
        classifier: NoisyClassifier,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
        progress: Callable[[int], None] = lambda done: None,
    ) -> dict[str, float]:
        """Loss and accuracies of the weights that the classifier has now.

        Args:
            classifier: On the device.
            device: Where it is.
            rank: Of this process.
            world_size: How many processes there are.
            progress: Called with the images that are done, after every batch; all processes are taken to be as far as this.
        """
        sums: dict[str, Tensor] = {}  # name -> [2, quarters]: sums and counts
        done = 0
        for number in shares(self.num_images, self.batch_size, rank, world_size):
            index = number % len(self.images)
            label = Label.of(self.images.condition(index).to(device))
            assert label is not None
            x_0 = _in_models_units(self.images.images(index.tolist()).to(device))
            noise = ImageNoise(0, number.to(device))
            t = classifier.schedule.time(noise.uniform("time"))
            eps = noise.normal("eps", tuple(x_0.shape[1:])).to(x_0)
            logits = classifier(perturb(x_0, eps, classifier.schedule(t)), t)
            counted = (number < self.num_images).double().to(device)  # the others are padding
            quarter = time_quarter(t, QUARTERS)
            for name, values in classification_terms(logits, label.number).items():
                found = sums.setdefault(name, torch.zeros(2, QUARTERS, dtype=torch.float64, device=device))
                found[0].index_add_(0, quarter, values.double() * counted)
                found[1].index_add_(0, quarter, counted)
            done += len(number) * world_size
            progress(min(done, self.num_images))
        return _means(sums)


def _in_models_units(images: Tensor) -> Tensor:
    """Pixels 0..255 to [-1, 1]; what is no pixels is in the model's units already."""
    return images if images.is_floating_point() else images.float() / 127.5 - 1


def _means(sums: dict[str, Tensor]) -> dict[str, float]:
    means = {}
    for name, found in sums.items():
        totals, counts = sum_over_processes([found])[0].tolist()
        means[name] = sum(totals) / sum(counts)
        for quarter, (total, count) in enumerate(zip(totals, counts, strict=True), start=1):
            if count:
                means[f"{name}_q{quarter}"] = total / count
    return means


class HeldOutAccuracy(Evaluation):
    """Loss and accuracies on noised images that were kept from training.

    The loss decides: it tells how far the probabilities, whose gradients guide, can be trusted.

    Args:
        images: The images; conf/held_out.
        tracks: Which weights; none means the online ones.
        num_images: How many noised images are asked.
        batch_size: Images that a process classifies at a time.
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

    def callback(self, data: ImageData, samples: Path) -> TrackEvaluation:
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

    def protocols(self, config: Mapping[str, Any], module: Any, data: ImageData, track: str) -> dict[str, Protocol]:
        setting = {
            "reference": {"fingerprint": self.images.fingerprint, "images": len(self.images)},
            "samples": self.num_images,
            "seeds": f"0 .. {self.num_images - 1}",
            "schedule": config["schedule"],
            "track": track,
            "precision": str(config["trainer"]["precision"]),
        }
        return {name: Protocol.of({**setting, "metric": {"name": name}}) for name in HeldOut.info()}

    def info(self, data: ImageData) -> dict[str, MetricInfo]:
        return HeldOut.info()

    def described(self, config: Mapping[str, Any]) -> str:
        return f"{self.num_images:,} noised images of the {len(self.images):,} held-out ones every {config['eval']['every']:,} steps"

    def measured(self, data: ImageData) -> str:
        return f"{self.num_images:,} noised images of the {len(self.images):,} held-out ones"
