"""Images as they lie in memory: encoded bytes, and values of pixels."""

from __future__ import annotations

import hashlib
import math
import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from difflab.data.checked_files import TraitCounts, checked_files, count_traits, each_file, trait_remarks
from difflab.data.dataset import ImageDataset, ImageSet, content_of, pixel_digest
from difflab.data.errors import DataError, warn
from difflab.data.file_store import FileStore, checked_content
from difflab.data.image_file import ImageFileError, Trait, adm_crop, decoded, examined
from difflab.reading import parse_json
from difflab.reading.json import dumps
from difflab.types import ImageSize, sides

_ROUNDING = 1e-5
"""How far, relative to the range, a float may lie outside it: float32 arithmetic ends there when it means the edge."""


class PixelValues:
    """Pixels of some type, [n, ...] -> uint8.

    Integers must lie in 0..255. Floating-point numbers need `value_range` = (low, high), usually (-1, 1) or (0, 1); they become round(255
    (x - low) / (high - low)), which for (-1, 1) is what `metrics.to_uint8` does with samples.

    Args:
        dtype: Of what will come.
        value_range: What black and white are; None for integers.
        where: What an error calls image i.
    """

    def __init__(self, dtype: np.dtype, value_range: Sequence[float] | None, where: Callable[[int], str]):
        if dtype.kind not in "uif":
            raise DataError(f"{where(0)} holds {dtype}; expected uint8, other integers in 0..255, or floats.")
        self.is_float = dtype.kind == "f"
        self.value_range = None if value_range is None else _checked(value_range)
        self._dtype, self._where = dtype, where
        self._low, self._high = math.inf, -math.inf

    def __call__(self, values: NDArray) -> NDArray[np.uint8]:
        if not self.is_float:
            return values.astype(np.uint8, copy=False)
        assert self.value_range is not None
        low, high = self.value_range
        scaled = (values.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
        return np.rint(scaled).clip(0, 255).astype(np.uint8)

    def check(self, values: NDArray, first: int) -> None:
        """Refuses what `__call__` would spoil; `first` is the number of the first image."""
        if self.is_float and (broken := _first(~np.isfinite(values))) is not None:
            raise DataError(
                f"{self._where(first + broken)} holds NaN or infinity. Draw it again, or remove it and its label."
            )
        self._low, self._high = min(self._low, float(values.min())), max(self._high, float(values.max()))
        if not self.is_float:
            sixteen = "; of 16 bits save numpy.rint(images / 257).astype('uint8')" if self._dtype.itemsize == 2 else ""
            self._refuse_outside(values, first, (0, 255), 0, f"expected integers in 0..255{sixteen}")
        elif self.value_range is not None:
            low, high = self.value_range
            remedy = f"value_range=[{low:g},{high:g}] was given: give the right one, or clip the images"
            self._refuse_outside(values, first, self.value_range, _ROUNDING * (high - low), remedy)

    def finish(self, name: str) -> None:
        """Says what can only be seen of the whole set, which an error calls `name`."""
        found = f"{name} holds {self._dtype} values from {self._low:.6g} to {self._high:.6g}"
        if self.is_float and self.value_range is None:
            raise DataError(f"{found}. Say which values are black and white: {_suggestion(self._low, self._high)}.")
        if self.value_range == (-1, 1) and self.is_float and self._low >= 0:
            warnings.warn(f"{found} and is read with value_range=[-1,1]; was [0,1] meant?", stacklevel=2)
        if not self.is_float and self._high <= 1:
            warnings.warn(f"{found}: all images are black. Were floats cast to integers?", stacklevel=2)

    def _refuse_outside(
        self, values: NDArray, first: int, limits: tuple[float, float], tolerance: float, remedy: str
    ) -> None:
        outside = (values < limits[0] - tolerance) | (values > limits[1] + tolerance)
        if (index := _first(outside)) is not None:
            image = values[index]
            raise DataError(
                f"{self._where(first + index)} has values from {image.min():.6g} to {image.max():.6g}; {remedy}."
            )


def _first(marked: NDArray) -> int | None:
    """The first image that is marked anywhere."""
    images = marked.reshape(len(marked), -1).any(axis=1)
    return int(images.argmax()) if images.any() else None


def _checked(value_range: Sequence[float]) -> tuple[float, float]:
    if len(value_range) != 2 or not (-math.inf < value_range[0] < value_range[1] < math.inf):
        raise DataError(f"value_range={list(value_range)}: expected [black, white], as [-1,1] or [0,1].")
    return float(value_range[0]), float(value_range[1])


def _suggestion(low: float, high: float) -> str:
    if low < -1.01 or high > 255.1 or (low < -0.01 and high > 1.01):
        return "value_range=[low,high]; they fit none of the usual ranges [-1,1], [0,1] and [0,255]"
    if low < -0.01:
        return "value_range=[-1,1]"
    return "value_range=[0,255]" if high > 1.01 else "value_range=[0,1], or [-1,1] if that is what they are"


_MODES = {1: "L", 3: "RGB"}


class EncodedImages(ImageDataset):
    """Images that are decoded, resized and centre-cropped as ADM does (`adm_crop`) when they are asked for.

    At construction every file is read and decoded once. What is broken is named, and what is not as it seems is said. The result is
    kept in the cache under the files' stamp, so that this is done again only after something changed.
    """

    @abstractmethod
    def __init__(
        self,
        files: FileStore,
        names: Sequence[str],
        labels: Int[Tensor, " n"] | None,
        class_names: Sequence[str],
        image_size: ImageSize,
        channels: int,
        content: str | None = None,
    ):
        """A subclass finds the files and passes them on.

        Args:
            files: Where they lie.
            names: Of the images there.
            labels: [N], or None.
            class_names: One per class; empty without labels.
            image_size: Side of the square to which every image is resized and centre-cropped, or [H, W].
            channels: 3 colour, 1 grey.
            content: What the hash of names and bytes (`hash_of`) was before the files were packed; None: it is computed.
        """
        if len(sides(image_size)) != 2:
            raise DataError(f"data.image_size={image_size}: give the side of square images, or [height,width].")
        if channels not in _MODES:
            raise DataError(f"data.channels={channels}: image files are read as grey (1) or colour (3).")
        super().__init__(image_size, channels, labels, class_names)
        self._files, self._names = files, list(names)
        findings = checked_files(files, self._names)
        self._content = content or findings.content
        self._scaled = findings.scaled
        for remark in findings.remarks(lambda number: files.where(self._names[number]), labels, min(sides(image_size))):
            warn(f"{files.name}: {remark}")

    def __len__(self) -> int:
        return len(self._names)

    def images(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Tensor:
        chosen = torch.as_tensor(indices).tolist()
        pixels = np.empty((len(chosen), *self.shape), np.uint8)
        for place, index in zip(pixels, chosen, strict=True):
            self._decode(self._names[index], place)
        return torch.from_numpy(pixels)

    def hash_content(self) -> str:
        labels = None if self.labels is None else self.labels.tolist()
        content = (self._content, labels, self.class_names, self.image_size, self.channels, "adm_crop", *self._scaled)
        return hashlib.blake2b(repr(content).encode(), digest_size=16).hexdigest()

    def _decode(self, name: str, place: UInt8[np.ndarray, "c h w"]) -> None:
        """Writes an image where it belongs in its batch."""
        image = decoded(self._files.read(name), lambda: self._files.where(name), _MODES[self.channels])
        pixels = np.asarray(adm_crop(image, self.image_size))
        place[...] = pixels.reshape(*sides(self.image_size), self.channels).transpose(2, 0, 1)


class FileImages(ImageSet):
    """Images that are decoded when they are asked for.

    All must have the size and the channels of the first, and none may be transparent: on which ground it was meant to lie is not known.

    Args:
        files: Where they lie.
        names: In their order.
        labels: [N] int64, or None.
    """

    def __init__(self, files: FileStore, names: Sequence[str], labels: Int[Tensor, " n"] | None):
        self._files, self._names = files, list(names)
        self._like = self._decoded(0).shape
        found = parse_json(checked_content(self.where(0), self._stamp, self._check), f"what was found in {files.name}")
        for remark in trait_remarks(found["traits"], self.where, len(self._names)):
            warn(f"{files.name}: {remark}")
        height, width, channels = self._like
        super().__init__((channels, height, width), len(self._names), labels, found["content"])

    def where(self, index: int) -> str:
        return f"{self._files.where(self._names[index])} (image {index})"

    def _pixels(self, indices: list[int]) -> NDArray[np.uint8]:
        pixels = np.empty((len(indices), *self._like), np.uint8)
        with ThreadPoolExecutor() as pool:
            for place, image in enumerate(pool.map(self._decoded, indices)):
                pixels[place] = image
        return pixels

    def _stamp(self) -> str:
        return repr(("decoded pixels", self._files.stamp(self._names), self._names))

    def _check(self) -> str:
        """Decodes every image once: the hash of all pixels, and what these do not show."""
        digests: list[bytes] = []
        traits: TraitCounts = {}
        for number, (digest, found) in enumerate(each_file(len(self._names), self._examined, self._files.name)):
            digests.append(digest)
            count_traits(traits, number, found)
        return dumps({"content": content_of(digests), "traits": traits})

    def _examined(self, index: int) -> tuple[bytes, frozenset[Trait]]:
        picture = examined(self._files.read(self._names[index]), lambda: self.where(index))
        if Trait.ALPHA in picture.traits:
            raise ImageFileError(
                f"{self.where(index)} is of the mode {picture.kind[2]} and transparent in places, which has no colour of its own",
                "Lay all images over a ground first (PIL.Image.alpha_composite).",
            )
        assert picture.image is not None
        pixels = _array(picture.image)
        if pixels.shape != self._like:
            raise ImageFileError(
                f"{self.where(index)} is {_words(pixels.shape)}, but {self.where(0)} is {_words(self._like)}",
                "Nothing is resized or converted here: bring all images to one form first.",
            )
        return pixel_digest(pixels), picture.traits

    def _decoded(self, index: int) -> NDArray[np.uint8]:
        return _array(decoded(self._files.read(self._names[index]), lambda: self.where(index)))


def _array(image: Image.Image) -> NDArray[np.uint8]:
    """[H, W, C]."""
    pixels = np.asarray(image)
    return pixels.reshape(*pixels.shape[:2], -1)


def _words(shape: tuple[int, ...]) -> str:
    height, width, channels = shape
    return f"{width}x{height} {'grey' if channels == 1 else 'colour'}"
