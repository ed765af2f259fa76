"""Images that are drawn for other images, or for what is known of them: those of a data set, of a file, or of the stage before."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from difflab.conditioning import LowResolution
from difflab.config.groups import ConfigError
from difflab.data import Shuffled, open_image_set
from difflab.data.dataset import LabelledSource
from difflab.features import to_uint8
from difflab.metrics import Pairs
from difflab.noise import ImageNoise
from difflab.runtime.invocation import program
from difflab.sampling.prompts import Conditions
from difflab.sampling.sample_set import PLAN_FILE, read_set
from difflab.types import Condition


class GivenImages:
    """Images to be upsampled: small ones, or originals that are downsampled as the model's training images were. A `metrics.Pairs`.

    Args:
        source: The images; of more numbers than there are images, the first ones come again.
        low_resolution: How the model is conditioned on small images.
        image_shape: (C, H, W) of what it draws.
    """

    def __init__(self, source: LabelledSource, low_resolution: LowResolution, image_shape: tuple[int, ...]):
        self.source = source
        self.low_resolution = low_resolution
        channels, size, *_ = image_shape
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

    def originals(self, index: Int[Tensor, " b"]) -> UInt8[Tensor, "b c h w"]:
        """On the CPU."""
        images = self._images(index)
        return images if images.dtype == torch.uint8 else to_uint8(images)

    def small(self, index: Int[Tensor, " b"]) -> Float[Tensor, "b c s s"]:
        """On the device of `index`."""
        images = in_models_units(self._images(index).to(index.device))
        return self.low_resolution.small(images) if self.has_originals else images

    def made_small(self, images: UInt8[Tensor, "b c h w"]) -> Float[Tensor, "b c s s"]:
        """Images in the form of `small`."""
        return self.low_resolution.small(in_models_units(images))

    def _images(self, index: Tensor) -> Tensor:
        return self.source.images((index.cpu() % len(self.source)).tolist())


def in_models_units(images: Tensor) -> Tensor:
    """Pixels 0..255 to [-1, 1]; what is no pixels is in the model's units already."""
    return images if images.is_floating_point() else images.float() / 127.5 - 1


class OfImages(Conditions):
    """Image i is drawn for what the model would have been told of given image i: its class, its caption, its small form ...

    Of more numbers than there are given images, the first ones come again. Nothing is opened before it is asked for.
    """

    _opened: tuple[LabelledSource, GivenImages | None] | None = None

    @abstractmethod
    def open_source(self) -> LabelledSource:
        """The images."""

    @property
    def source(self) -> LabelledSource:
        """The images, opened once."""
        return self._open()[0]

    @property
    def given(self) -> GivenImages | None:
        """The same for a model that upsamples them; None for another one."""
        return self._open()[1]

    def _open(self) -> tuple[LabelledSource, GivenImages | None]:
        if self._opened is None:
            source, low_resolution = self.open_source(), self.drawing.low_resolution
            self._opened = source, low_resolution and GivenImages(source, low_resolution, self.drawing.image_shape)
        return self._opened

    @property
    def pairs(self) -> Pairs | None:
        return self.given

    @property
    def fields(self) -> dict[str, Any]:
        told = [name for name in self.source.condition([0]) if name in self.names and name != "label"]
        prompts = {"fingerprint": self.source.fingerprint, "prompts": len(self.source), "parts": ", ".join(told)}
        return {
            **({"classes": "of the given images"} if "label" in self.names else {}),
            **({} if self.given is None else self.given.fields),
            **({"conditions": prompts} if told else {}),
        }

    def __call__(self, seeds: Int[Tensor, " b"]) -> Condition:
        index, drawing = seeds - self.drawing.first_seed, self.drawing
        row, given = index.cpu() % len(self.source), self.given
        cond = self.source.condition(row).to(seeds.device)
        # in a cascade each stage has noise of its own, as `samplers.draw` has
        noise = ImageNoise(drawing.image_shape[-1] if given is None else given.low_resolution.size, seeds)
        if given is not None and not given.has_originals:
            return given.low_resolution.given(drawing.of_what_is_told(cond), given.small(index), noise)
        if not drawing.conditionings:
            return drawing.of_what_is_told(cond)
        return drawing.condition_of(cond, in_models_units(self.source.images(row.tolist()).to(seeds.device)), noise)


class OfData(OfImages):
    """What the data say, or make, of their images, in a fixed random order: of those that were held out, else of the training images."""

    def check(self) -> None:
        self._opened = None
        if self.drawing.data is None and self.drawing.low_resolution is not None:
            raise ConfigError(
                f"this model upsamples images: give low_res=FILE, an npz, a folder or what {program('sample')} has written"
            )
        if self.drawing.data is None:
            raise ConfigError(
                "conditions=[of_data]: nothing is known of the data of this model, choose conditions=[in_turn]"
            )

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.drawing.told)

    def open_source(self) -> LabelledSource:
        assert self.drawing.data is not None
        return Shuffled(self.drawing.data())


class LowRes(OfImages):
    """Small images to be upsampled, or originals that are made small, and their classes.

    Args:
        images: File or folder: an npz, a folder, a zip, tar shards, or what sample.py has written.
    """

    def __init__(self, images: str):
        self.images = images

    def check(self) -> None:
        self._opened = None
        if self.drawing.low_resolution is None:
            raise ConfigError(f"low_res={self.images}: this model draws from noise alone and upsamples nothing")

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.drawing.told) & {"label", "image"}

    def open_source(self) -> LabelledSource:
        path = Path(self.images)
        return open_image_set(read_set(path)[0][0] if (path / PLAN_FILE).is_file() else path)


class OfStage(OfImages):
    """The image of each seed is drawn for the image of the same seed of the stage before, and its class.

    Args:
        images: Opens what the stage before has drawn; it may not be drawn yet.
        has_labels: Whether these have a class each.
    """

    def __init__(self, images: Callable[[], LabelledSource], has_labels: bool):
        self.images = images
        self.has_labels = has_labels

    def check(self) -> None:
        self._opened = None

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.drawing.told) & {"image", *(["label"] if self.has_labels else [])}

    @property
    def fields(self) -> dict[str, Any]:
        """The images are those of the stage before, of which the protocol tells all the rest."""
        low_resolution = self.drawing.low_resolution
        assert low_resolution is not None
        noise = {"low_resolution": {"size": low_resolution.size, "noise": low_resolution.augmentation.described}}
        return ({"classes": "of the stage before"} if "label" in self.names else {}) | noise

    def open_source(self) -> LabelledSource:
        return self.images()
