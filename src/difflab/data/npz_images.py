"""Images in an npz, in the layout of OpenAI's sampling scripts and reference batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from difflab.data.checked_content import checked_content
from difflab.data.errors import DataError
from difflab.data.image_set import ImageSet, content_of, pixel_digest
from difflab.data.labels import CLASSES, check_class
from difflab.data.npz_array import NpzArray, array_names, whole_array
from difflab.data.pixel_values import PixelValues
from difflab.file_stamp import file_stamps

IMAGES, LABELS = "arr_0", "arr_1"


class NpzImages(ImageSet):
    """arr_0 [N, H, W, C] uint8 and perhaps arr_1 [N] classes (guided-diffusion, scripts/image_sample.py). Other arrays (mu, sigma, ... of
    ADM's reference batches) are left alone. Images are read by seeking: memory does not grow with N.

    path         the file
    value_range  what black and white are in an array of floats, as (-1, 1) or (0, 1); integers are 0..255
    """

    def __init__(self, path: str | Path, value_range: Sequence[float] | None = None):
        self.path = Path(path)
        present = array_names(self.path)
        if IMAGES not in present:
            raise DataError(
                f"{self.path} has no {IMAGES}, only {', '.join(present) or 'nothing'}. Save the images [N, H, W, C] "
                f"as uint8 with numpy.savez(file, images, labels), which calls them {IMAGES} and {LABELS}."
            )
        self._array = NpzArray(self.path, IMAGES)
        height, width, channels = _shape(self._array)
        self._values = PixelValues(self._array.dtype, value_range, self.where)
        labels = _labels(self.path, len(self._array)) if LABELS in present else None
        content = checked_content(str(self.path), self._stamp, self._check)
        super().__init__((channels, height, width), len(self._array), labels, content)

    def where(self, index: int) -> str:
        return f"{self.path}, {IMAGES}[{index}]"

    def _stamp(self) -> str:
        return repr(("npz pixels", str(self.path.absolute()), file_stamps([self.path]), self._values.value_range))

    def _pixels(self, indices: list[int]) -> NDArray[np.uint8]:
        pixels = np.empty((len(indices), *self._array.shape[1:]), np.uint8)
        for place, first, count in _runs(indices):
            pixels[place : place + count] = self._values(self._array.rows(first, count))
        return pixels

    def _check(self) -> str:
        """Looks at every value once, and gives the hash of all pixels."""
        content = content_of(self._checked_digests())
        self._values.finish(f"{self.path}: {IMAGES}")
        return content

    def _checked_digests(self) -> Iterator[bytes]:
        unknown = self._values.is_float and self._values.value_range is None  # finish() says what was found
        for first, values in self._array.blocks():
            self._values.check(values, first)
            yield from map(pixel_digest, () if unknown else self._values(values))


def _shape(array: NpzArray) -> tuple[int, ...]:
    """(H, W, C)."""
    found = f"{array.path}: {array.name} has the shape {list(array.shape)}"
    if len(array.shape) != 4:
        raise DataError(f"{found}; expected images [N, H, W, C].")
    if 0 in array.shape:
        raise DataError(f"{found}: there is no image in it.")
    if array.shape[3] in (1, 3):
        return array.shape[1:]
    if array.shape[1] in (1, 3):
        raise DataError(f"{found}, which is [N, C, H, W]. Save images.transpose(0, 2, 3, 1), which is [N, H, W, C].")
    raise DataError(f"{found}: {array.shape[3]} channels; expected [N, H, W, C] with 1 (grey) or 3 (colour).")


def _labels(path: Path, count: int) -> Tensor:
    array = NpzArray(path, LABELS)
    if len(array.shape) == 2 and len(array) == count:
        raise DataError(
            f"{path}: {LABELS} has the shape {list(array.shape)}; save class numbers [N], not one-hot rows."
        )
    if array.shape != (count,):
        raise DataError(
            f"{path}: {IMAGES} has {count} images, but {LABELS} the shape {list(array.shape)}, not [{count}]."
        )
    if array.dtype.kind not in "ui":
        raise DataError(f"{path}: {LABELS} holds {array.dtype}; expected class numbers 0, 1, ... as integers.")
    labels = whole_array(path, LABELS).astype(np.int64)
    if (negative := np.flatnonzero(labels < 0)).size:
        index = int(negative[0])
        raise DataError(f"{path}: {LABELS}[{index}] is {labels[index]}; expected class numbers 0, 1, ...")
    for index in np.flatnonzero(labels >= CLASSES)[:1]:
        check_class(int(labels[index]), f"{path}: {LABELS}[{index}]")
    return torch.from_numpy(labels)


def _runs(indices: list[int]) -> list[tuple[int, int, int]]:
    """(place in the list, first index, count) of neighbours that can be read at once."""
    runs: list[tuple[int, int, int]] = []
    for place, index in enumerate(indices):
        if runs and index == runs[-1][1] + runs[-1][2]:
            runs[-1] = (*runs[-1][:2], runs[-1][2] + 1)
        else:
            runs.append((place, index, 1))
    return runs
