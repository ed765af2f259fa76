"""Images in .npz files, as guided-diffusion writes them."""

from __future__ import annotations

import math
import os
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import disk_usage

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from difflab.data.dataset import ImageSet, content_of, pixel_digest
from difflab.data.encoded import PixelValues
from difflab.data.errors import DataError
from difflab.data.file_store import checked_content
from difflab.data.labels import CLASSES, check_class
from difflab.reading import FileError, shown
from difflab.reading.archives import BROKEN as DAMAGED
from difflab.reading.arrays import read_header
from difflab.runtime.foreign_code import file_stamps

SMALL = 2**29
"""Bytes of an array that is read as a whole, at most: 512 MiB, a covariance of 8192 dimensions."""


def array_names(path: Path) -> list[str]:
    """The names of the arrays in an npz."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [shown(name.removesuffix(".npy")) for name in archive.namelist()]
    except DAMAGED as error:
        raise DataError(f"{path} cannot be read as an npz ({error}); it may be truncated. Get it again.") from error


class NpzArray:
    """Array `name` of the npz at `path`.

    `numpy.savez` stores an array as it is in memory, so that a slice is found by seeking. A compressed array is unpacked into
    a temporary file first ($TMPDIR), which goes when this object does. Arrays that would need pickle are refused.
    """

    def __init__(self, path: Path, name: str):
        self.path, self.name = path, name
        if name not in (present := array_names(path)):
            raise DataError(f"{path} has no array {name!r}, only {', '.join(present) or 'nothing'}.")
        try:
            with zipfile.ZipFile(path) as archive, archive.open(self._member) as stream:
                entry = archive.getinfo(self._member)
                self.shape, fortran, self.dtype, size = read_header(stream, f"{path}: {name}")
                self._header_size = stream.tell()
        except FileError:
            raise
        except DAMAGED as error:
            raise self._damaged(error) from error
        if fortran and len(self.shape) > 1:
            raise DataError(f"{path}: {name} is stored column by column. Save numpy.ascontiguousarray of it.")
        if entry.file_size - self._header_size != size:
            raise DataError(
                f"{path}: {name} should hold {list(self.shape)} {self.dtype}, but has {entry.file_size} bytes. Get it again."
            )
        try:
            if entry.compress_type == zipfile.ZIP_STORED:
                self._file, self._start = path.open("rb"), _start_of(path, entry) + self._header_size
            else:
                self._file, self._start = self._unpacked(), self._header_size
        except DAMAGED as error:
            raise self._damaged(error) from error

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    def rows(self, first: int, count: int) -> NDArray:
        """The rows first .. first + count - 1, [count, ...]."""
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        content = os.pread(self._file.fileno(), count * size, self._start + first * size)
        if len(content) < count * size:
            raise self._damaged(EOFError(f"row {first} ends early"))
        return np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])

    def blocks(self, size: int = 2**24) -> Iterator[tuple[int, NDArray]]:
        """(first row, rows) through the whole array, about `size` bytes at a time; the archive's checksum is verified on the way."""
        row = max(1, math.prod(self.shape[1:]) * self.dtype.itemsize)
        step = max(1, size // row)
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self._member) as stream:
                stream.read(self._header_size)
                for first in range(0, len(self), step):
                    count = min(step, len(self) - first)
                    yield first, np.frombuffer(stream.read(count * row), self.dtype).reshape(count, *self.shape[1:])
                stream.read()  # the checksum is looked at when the end is reached
        except FileError:
            raise
        except DAMAGED as error:
            raise self._damaged(error) from error

    @property
    def _member(self) -> str:
        return f"{self.name}.npy"

    def _unpacked(self):
        size, free = (
            self._header_size + math.prod(self.shape) * self.dtype.itemsize,
            disk_usage(tempfile.gettempdir()).free,
        )
        if size > free:
            raise DataError(
                f"{self.path}: {self.name} is compressed and unpacks to {size / 1e9:,.1f} GB, but {tempfile.gettempdir()} has "
                f"{free / 1e9:,.1f} GB of room. Set TMPDIR to a folder with more, or save with numpy.savez."
            )
        aside = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as this object
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self._member) as stream:
                shutil.copyfileobj(stream, aside, 2**20)
            aside.flush()
        except OSError as error:
            raise DataError(
                f"{self.path} is compressed and could not be unpacked into {tempfile.gettempdir()} ({error}). "
                "Set TMPDIR to a folder with room, or save with numpy.savez."
            ) from error
        return aside

    def _damaged(self, error: Exception) -> DataError:
        return DataError(f"{self.path}: {self.name} cannot be read ({error}). Get it again.")


def whole_array(path: Path, name: str) -> NDArray:
    """A small array in memory, checked as `NpzArray` does."""
    array = NpzArray(path, name)
    if math.prod(array.shape) * array.dtype.itemsize > SMALL:
        raise DataError(f"{path}: {name} has the shape {list(array.shape)}, which is far more than belongs there.")
    rows = [block for _, block in array.blocks()] if array.shape else [array.rows(0, 1)]
    return np.concatenate(rows) if rows else np.empty(array.shape, array.dtype)


def _start_of(path: Path, entry: zipfile.ZipInfo) -> int:
    """Where a stored member's bytes begin: after its local header, whose length stands in it."""
    with path.open("rb") as file:
        file.seek(entry.header_offset)
        name, extra = struct.unpack("<26xHH", file.read(30))
    return entry.header_offset + 30 + name + extra


IMAGES, LABELS = "arr_0", "arr_1"


class NpzImages(ImageSet):
    """arr_0 [N, H, W, C] uint8 and perhaps arr_1 [N] classes (guided-diffusion, scripts/image_sample.py).

    Other arrays (mu, sigma, ... of ADM's reference batches) are left alone. Images are read by seeking: memory does not grow with N.

    Args:
        path: The file.
        value_range: What black and white are in an array of floats, as (-1, 1) or (0, 1); integers are 0..255.
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
