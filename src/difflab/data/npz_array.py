"""One array of an npz, read in slices along its first axis: the memory of a slice, whatever the array's size."""

from __future__ import annotations

import math
import os
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from shutil import disk_usage

import numpy as np
from numpy.typing import NDArray

from difflab.data.errors import DataError
from difflab.reading import FileError, shown
from difflab.reading.archives import BROKEN as DAMAGED
from difflab.reading.arrays import read_header

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
