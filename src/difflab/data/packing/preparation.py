"""What is done to images before they are packed."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from difflab.data.errors import DataError
from difflab.data.image_file import adm_crop, decoded, examined
from difflab.reading.arrays import parse_array


class Content(NamedTuple):
    """An encoded image or array, and the extension that says how it is encoded."""

    data: bytes
    extension: str


class PackSource(ABC):
    """N examples in their order.

    Args:
        about: Where they come from, for people.
        names: One for each.
        labels: a class number for each, or None.
        class_names: Empty without labels.
        settings: What is done to them, in words.
        image_size: To which images are resized; None: not at all.
    """

    def __init__(
        self,
        about: str,
        names: Sequence[str],
        labels: Sequence[int] | None,
        class_names: Sequence[str],
        settings: str,
        image_size: int | None,
    ):
        self.about = about
        self.names = names
        self.labels = labels
        self.class_names = class_names
        self.settings = settings
        self.image_size = image_size

    @abstractmethod
    def stamp(self) -> str:
        """Something cheap that differs when the examples have changed."""

    @abstractmethod
    def contents(self, first: int) -> Iterator[Content]:
        """Those of the examples first, first + 1, ..."""

    @abstractmethod
    def shape(self) -> list[int] | None:
        """[C, H, W] of arrays; None for images. Asked after `contents`."""


_EXTENSION = {
    "PNG": ".png",
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "WEBP": ".webp",
    "BMP": ".bmp",
    "PPM": ".ppm",
    "TIFF": ".tif",
}
"""Pillow's name of a format -> extension."""


class Preparation(ABC):
    """What is done to a file before it is packed.

    Attributes:
        settings: What it does, in words.
        image_size: Side to which images are resized, or None.
        of_images: Whether the files are images, and no arrays.
    """

    settings: str
    image_size: int | None = None
    of_images: bool = True

    @abstractmethod
    def __call__(self, content: bytes, where: str) -> Content:
        """Called from several threads."""

    @abstractmethod
    def shape(self) -> list[int] | None:
        """[C, H, W] of the arrays seen so far; None for images."""


class AsItIs(Preparation):
    """The bytes of an image are copied: a JPEG stays the same JPEG."""

    settings = "files as they are"

    def __call__(self, content: bytes, where: str) -> Content:
        *_, kind = examined(content, lambda: where, decode=False).kind  # `FileSource` has decoded it
        if kind not in _EXTENSION:
            raise DataError(f"{where} is a {kind}, which shards do not hold. Convert it, or give image_size=.")
        return Content(content, _EXTENSION[kind])

    def shape(self) -> None:
        return None


class ResizedPng(Preparation):
    """Resized and centre-cropped as training would do (`adm_crop`), then PNG, grey where the file is grey."""

    def __init__(self, image_size: int):
        if image_size < 1:
            raise DataError(f"image_size={image_size} must be at least 1 pixel")
        self._side = image_size
        self.image_size = image_size
        self.settings = f"image_size={image_size}"

    def __call__(self, content: bytes, where: str) -> Content:
        stream = io.BytesIO()
        adm_crop(decoded(content, lambda: where), self._side).save(stream, "PNG")
        return Content(stream.getvalue(), ".png")

    def shape(self) -> None:
        return None


class ArrayFile(Preparation):
    """A .npy file of floats [C, H, H]: latents. All have the shape of the first."""

    settings = "arrays as they are"
    of_images = False

    def __init__(self):
        self._shape: list[int] | None = None

    def __call__(self, content: bytes, where: str) -> Content:
        array = parse_array(content, where)
        if array.ndim != 3 or array.shape[1] != array.shape[2] or array.dtype.kind != "f":
            raise DataError(f"{where} is {array.dtype} {list(array.shape)}; expected floats [C, H, H].")
        if self._shape is None:
            self._shape = list(array.shape)
        if list(array.shape) != self._shape:
            raise DataError(f"{where} has the shape {list(array.shape)}, others {self._shape}. Bring all to one.")
        if not np.isfinite(array).all():
            raise DataError(f"{where} holds values that are not finite. Replace it, or remove it.")
        return Content(content, ".npy")

    def shape(self) -> list[int] | None:
        return self._shape
