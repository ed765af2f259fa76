"""For which low-resolution image each image is drawn: a given one, or one that the stage before drew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from difflab.checkpoints.load import LoadedModel
from difflab.checkpoints.trained_data import held_out_data, trained_data
from difflab.conditioning import Conditions, LowResolution, low_resolution_of
from difflab.config.build import build
from difflab.config.groups import ConfigError
from difflab.data import ImageDataset, Shuffled, open_image_set
from difflab.data.dataset import LabelledSource
from difflab.features import to_uint8
from difflab.noise import ImageNoise
from difflab.runtime.invocation import program
from difflab.sampling.options import SamplingOptions
from difflab.sampling.sample_set import PLAN_FILE, read_set
from difflab.types import Condition, Label


class GivenImages:
    """Images to be upsampled: small ones, or originals that are downsampled as the model's training images were. A `metrics.Pairs`.

    Args:
        source: The images; of more numbers than there are images, the first ones come again.
        low_resolution: How the model is conditioned on small images.
        image_shape: (C, H, W) of what it draws.
    """

    def __init__(self, source: LabelledSource, low_resolution: LowResolution, image_shape: tuple[int, int, int]):
        self.source = source
        self.low_resolution = low_resolution
        channels, size, _ = image_shape
        found, small = tuple(source.images([0]).shape[1:]), low_resolution.size
        if found not in ((channels, size, size), (channels, small, small)):
            raise ValueError(
                f"low_res: the images are {'x'.join(map(str, found))}; this model upsamples images of {channels}x{small}x{small}, or makes "
                f"originals of {channels}x{size}x{size} small itself"
            )
        self.has_originals = found[1] == size

    def __len__(self) -> int:
        return len(self.source)

    @property
    def fields(self) -> dict[str, Any]:
        augmentation = self.low_resolution.augmentation
        return {
            "low_resolution": {
                "fingerprint": self.source.fingerprint,
                "images": len(self),
                "size": self.low_resolution.size,
                "shrink": type(self.low_resolution.shrink).__name__ if self.has_originals else "none",
                "noise": augmentation.described,
            }
        }

    def labels(self, index: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        labels = self.source.labels
        if labels is None:
            raise ValueError(
                "low_res: the model needs a class, and these images have none: give classes=3, or labels.npy"
            )
        return labels[self._row(index)]

    def originals(self, index: Int[Tensor, " b"]) -> UInt8[Tensor, "b c h w"]:
        """On the CPU."""
        images = self._images(index)
        return images if images.dtype == torch.uint8 else to_uint8(images)

    def small(self, index: Int[Tensor, " b"]) -> Float[Tensor, "b c s s"]:
        """On the device of `index`."""
        images = _in_models_units(self._images(index).to(index.device))
        return self.low_resolution.small(images) if self.has_originals else images

    def made_small(self, images: UInt8[Tensor, "b c h w"]) -> Float[Tensor, "b c s s"]:
        """Images in the form of `small`."""
        return self.low_resolution.small(_in_models_units(images))

    def _images(self, index: Tensor) -> Tensor:
        return self.source.images(self._row(index).tolist())

    def _row(self, index: Tensor) -> Tensor:
        return index.cpu() % len(self.source)


class UpsampledImages(Conditions):
    """The image of seed first_seed + i is drawn for given image i: its small form and its class.

    Args:
        given: The images.
        classes: Of each image; None for those of the given images.
        first_seed: The seed of the first.
    """

    columns = 0

    def __init__(self, given: GivenImages, classes: Conditions | None, first_seed: int):
        self.given = given
        self._classes = classes
        self._first_seed = first_seed

    @property
    def fields(self) -> dict[str, Any]:
        classes = {"classes": "of the given images"} if self._classes is None else self._classes.fields
        return classes | self.given.fields

    def __call__(self, seeds: Int[Tensor, " b"]) -> Condition:
        index = seeds - self._first_seed
        classes, low_resolution = self._classes or self._own, self.given.low_resolution
        # in a cascade each stage has noise of its own, as `samplers.draw` has
        return low_resolution.given(classes(seeds), self.given.small(index), ImageNoise(low_resolution.size, seeds))

    def _own(self, seeds: Tensor) -> Condition:
        return Condition(label=Label(self.given.labels(seeds - self._first_seed).to(seeds.device)))

    def shown(self, images: UInt8[Tensor, "b c h w"], seeds: Int[Tensor, " b"]) -> UInt8[Tensor, "b c h w2"]:
        """Small image, result and, where it is known, original, from left to right."""
        index = seeds - self._first_seed
        small = F.interpolate(to_uint8(self.given.small(index)).float(), images.shape[2:], mode="nearest").to(images)
        row = [small, images]
        if self.given.has_originals:
            row.append(self.given.originals(index).to(images))
        return torch.cat(row, dim=3)


def _in_models_units(images: Tensor) -> Tensor:
    """Pixels 0..255 to [-1, 1]; what is no pixels is in the model's units already."""
    return images if images.is_floating_point() else images.float() / 127.5 - 1


class UpsampledStage(Conditions):
    """The image of each seed is drawn for the image of the same seed of the stage before.

    Nothing of it is read before it is asked for, since it may not be drawn yet.

    Args:
        low_resolution: How the model is conditioned on small images.
        given: Gives the images of the stage before, that of first_seed at first.
        classes: Of each image; None for those of the stage before.
        first_seed: The seed of the first.
    """

    columns = 0

    def __init__(
        self,
        low_resolution: LowResolution,
        given: Callable[[], GivenImages],
        classes: Conditions | None,
        first_seed: int,
    ):
        self._low_resolution = low_resolution
        self._given = given
        self._classes = classes
        self._first_seed = first_seed

    @property
    def fields(self) -> dict[str, Any]:
        """The images are those of the stage before, of which the protocol tells all the rest."""
        classes = {"classes": "of the stage before"} if self._classes is None else self._classes.fields
        noise = self._low_resolution.augmentation.described
        return classes | {"low_resolution": {"size": self._low_resolution.size, "noise": noise}}

    def __call__(self, seeds: Int[Tensor, " b"]) -> Condition:
        return self._drawn(seeds)

    def shown(self, images: UInt8[Tensor, "b c h w"], seeds: Int[Tensor, " b"]) -> UInt8[Tensor, "b c h w2"]:
        return self._drawn.shown(images, seeds)

    @cached_property
    def _drawn(self) -> UpsampledImages:
        return UpsampledImages(self._given(), self._classes, self._first_seed)


def images_of_stages(num_samples: int, batch_sizes: list[int]) -> list[int]:
    """How many images each stage draws, so that the last has `num_samples`: the one before it draws for whole batches of it.

    The last batch is filled up with further seeds, and an image of them has to be what it will be when the set grows.
    """
    counts = [num_samples]
    for size in reversed(batch_sizes[1:]):
        last = counts[0]
        counts.insert(0, last if last <= size else -(-last // size) * size)
    return counts


class Upsampling:
    """The small images of a model that upsamples.

    Args:
        source: What opens them; asked for once, when they are first needed.
        low_resolution: How the model was conditioned on small images.
        image_shape: (C, H, W) of what it draws.
    """

    def __init__(
        self, source: Callable[[], LabelledSource], low_resolution: LowResolution, image_shape: tuple[int, int, int]
    ):
        self._source = source
        self.low_resolution = low_resolution
        self._image_shape = image_shape

    @cached_property
    def given(self) -> GivenImages:
        return GivenImages(self._source(), self.low_resolution, self._image_shape)


def upsampling_of(
    options: SamplingOptions, config: Mapping[str, Any], model: LoadedModel, stage_before: LabelledSource | None
) -> Upsampling | None:
    """The images that a model upsamples; None for a model that draws from noise alone.

    They are what the command says, else the run's held-out images, else those that it was trained on.

    Args:
        options: What the command says.
        config: Of the model, with what the command has chosen, plain.
        model: The model.
        stage_before: The images of the stage before, in a cascade: it is those that are upsampled.
    """
    image_shape = model.denoiser.image_shape
    low_resolution = low_resolution_of(build(config.get("conditioning") or {}))
    if low_resolution is None:
        if options.low_res is not None:
            raise ConfigError(f"low_res={options.low_res}: this model draws from noise alone and upsamples nothing")
        return None
    if stage_before is not None:
        return Upsampling(lambda: stage_before, low_resolution, image_shape)
    if options.low_res is not None:
        return Upsampling(lambda: _stored(Path(str(options.low_res))), low_resolution, image_shape)
    if config.get("data") is None:
        raise ConfigError(
            f"this model upsamples images: give low_res=FILE, an npz, a folder or what {program('sample')} has written"
        )
    return Upsampling(lambda: Shuffled(_of_the_run(model)), low_resolution, image_shape)


def set_level(config: Mapping[str, Any], level: float) -> None:
    """This fixed amount of noise on the small images in sampling.

    Args:
        config: Of the model, plain; changed in place.
        level: Of the augmentation, in its own unit.

    Raises:
        ConfigError: The model was trained without noise on small images.
    """
    low_resolution = (config.get("conditioning") or {}).get("low_resolution") or {}
    augmentation = low_resolution.get("augmentation") or {}
    for name in ("level", "time"):
        if name in augmentation:
            augmentation[name] = level
            return
    raise ConfigError(
        f"level={level:g}: this model was not trained with noise on small images (conditioning augmentation)"
    )


def _of_the_run(model: LoadedModel) -> ImageDataset:
    """Held-out images, else those that it was trained on."""
    if model.config.get("held_out"):
        return held_out_data(model.config, model.file)
    return trained_data(model.config, model.file)


def _stored(path: Path) -> LabelledSource:
    """The images of a file or a folder, also of one that sample.py has written."""
    return open_image_set(read_set(path)[0][0] if (path / PLAN_FILE).is_file() else path)
