"""Arrays of numbers in .npy files that somebody else may have written."""

from __future__ import annotations

import io
import math
import tokenize
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difflab.reading.text import FileError, read_bytes, reason

BROKEN = (
    OSError, EOFError, ValueError, TypeError, SyntaxError, KeyError, OverflowError, RecursionError, MemoryError, tokenize.TokenError,
)  # fmt: skip
"""What numpy raises for a header that is none."""

_LARGEST = 2**34
"""Bytes of a file of one array, at most."""


class ArrayHeader(NamedTuple):
    """What a .npy file says of its array.

    Attributes:
        shape: Of whole numbers from 0 on.
        fortran: Whether it is stored column by column.
        dtype: Plain numbers or texts, no objects.
        bytes: Of its values.
    """

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    bytes: int


def read_header(stream: Any, where: str) -> ArrayHeader:
    """The header of a .npy file (numpy.lib.format, versions 1 and 2); the stream stands behind it then.

    Args:
        stream: Open for bytes.
        where: What an error calls it.

    Raises:
        FileError: It is none, or the array holds objects, which only a pickle could restore.
    """
    try:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version} of the npy format")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except BROKEN as error:
        raise FileError(f"{where} cannot be read as an array ({reason(error)}). Get it again.") from error
    if dtype.hasobject:
        raise FileError(f"{where} holds pickled objects, which may run code when read. Save numbers instead.")
    if any(isinstance(side, bool) or side < 0 for side in shape):
        raise FileError(f"{where} has the shape {list(shape)}, which no array has. Get it again.")
    return ArrayHeader(shape, fortran, dtype, math.prod(shape) * dtype.itemsize)


def parse_array(content: bytes, where: str) -> NDArray:
    """The array of a .npy file.

    Args:
        content: The file.
        where: What an error calls it.

    Raises:
        FileError: As `read_header`, or the file has fewer or more bytes than the array.
    """
    stream = io.BytesIO(content)
    header = read_header(stream, where)
    if (present := len(content) - stream.tell()) != header.bytes:
        raise FileError(
            f"{where} should hold {list(header.shape)} {header.dtype}, but has {present:,} bytes of it. Get it again."
        )
    values = np.frombuffer(content, header.dtype, offset=stream.tell()) if header.bytes else np.empty(0, header.dtype)
    return values.reshape(header.shape, order="F" if header.fortran else "C").copy()


def read_array(path: str | Path) -> NDArray:
    """The array of a .npy file on the disk, as `parse_array`.

    Raises:
        FileError: As `parse_array`, or the file cannot be read.
    """
    return parse_array(read_bytes(path, _LARGEST), str(path))
