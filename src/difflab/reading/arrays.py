"""Arrays of other programs: npy, and weights as PyTorch and safetensors write them."""

from __future__ import annotations

import io
import math
import os
import pickle
import struct
import tokenize
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from difflab.reading.archives import open_zip, read_member
from difflab.reading.json import parse_json
from difflab.reading.text import FileError, read_bytes, reason, shown

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


_HEADER = 2**25
"""Bytes of a safetensors header at most: 32 MiB; a model of ten thousand tensors needs one."""


@contextmanager
def opened_safetensors(path: str | Path, remedy: str = "Get it again.") -> Iterator[Any]:
    """A file of safetensors, open: what `safetensors.safe_open` gives, after the header was looked at.

    Args:
        path: Of the file.
        remedy: What an error tells the user to do.

    Raises:
        FileError: The header or a tensor is damaged, or of another kind of file.
    """
    _check_header(path, remedy)
    try:
        with safe_open(str(path), framework="pt") as file:
            yield file
    except (SafetensorError, OSError, MemoryError, OverflowError) as error:
        raise FileError(f"{path} is damaged ({reason(error)}). {remedy}") from error


def read_safetensors(path: str | Path, remedy: str = "Get it again.") -> dict[str, torch.Tensor]:
    """All tensors of a file by name, on the CPU.

    Raises:
        FileError: As `opened_safetensors`.
    """
    with opened_safetensors(path, remedy) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def read_checkpoint(path: str | Path, mapped: bool = False) -> Any:
    """What `torch.save` wrote: tensors and plain containers, on the CPU. Anything else in it is refused and not run.

    Args:
        path: Of the file.
        mapped: Leaves the tensors' content on the disk until it is looked at.

    Raises:
        FileError: The file is damaged, holds something else, or would unpack to more than its own size.
    """
    _check_archive(Path(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the pickle's version, which is no matter of the user's
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped or None)
    except pickle.UnpicklingError as error:
        raise FileError(
            f"{path} holds something else than weights and numbers ({_first_line(error)}), which is not run. Get it anew."
        ) from error
    except Exception as error:  # a foreign pickle can raise whatever its parts raise
        raise FileError(f"{path} cannot be read as a checkpoint ({_first_line(error)}). Get it again.") from error


def _check_header(path: str | Path, remedy: str) -> None:
    """Reads the header as JSON with bounds first: safetensors itself would take one of any depth and 100 MB."""
    if not os.path.isfile(path):
        raise FileError(f"{path} is no file. {remedy}")
    with open(path, "rb") as file:
        start, size = file.read(8), os.fstat(file.fileno()).st_size
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= size - 8 or length > _HEADER:
            raise FileError(f"{path} is damaged, or no file of safetensors: its header cannot be found. {remedy}")
        header = parse_json(file.read(length), f"{path}: its header", dict)
    told = header.get("__metadata__", {})
    if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
        raise FileError(f"{path} is damaged: its header tells {shown(told)}, expected texts by name. {remedy}")


def _check_archive(path: Path) -> None:
    """torch.save stores and does not compress: a member that is compressed, or larger than the file, is a bomb."""
    if not path.is_file():
        raise FileError(f"{path} is no file.")
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (OSError, ValueError, zipfile.BadZipFile, RuntimeError, NotImplementedError, struct.error) as error:
        raise FileError(f"{path} cannot be read as a checkpoint ({reason(error)}). Get it again.") from error
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise FileError(
            f"{path} would unpack to more than its own size, which no checkpoint does. Get it from where it is intact."
        )


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if "Unsupported" in line), lines[0] if lines else type(error).__name__)
    return shown(" ".join(told.split()), 160)


_SOURCE = 2**24
"""Bytes of a source in a TorchScript archive, at most."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a file of safetensors, of a state dict, or of a TorchScript archive, on the CPU.

    Of a TorchScript archive the parameters and buffers are taken and no method is called: one that has a method for being loaded, which
    could write files, is refused.

    Args:
        path: Of the file.

    Returns:
        Name -> tensor.

    Raises:
        ValueError: The file is damaged, or holds something else.
    """
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    state = _of_torchscript(path) if is_torchscript(path) else read_checkpoint(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds no tensors by name (expected a state dict)")
    return dict(state)


def is_torchscript(path: Path) -> bool:
    """Whether the file is a TorchScript archive."""
    if not zipfile.is_zipfile(path):
        return False
    with open_zip(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def _of_torchscript(path: Path) -> dict[str, Tensor]:
    with open_zip(path) as archive:
        sources = [name for name in archive.namelist() if name.endswith(".py")]
        if any(b"__setstate__" in read_member(archive, name, _SOURCE) for name in sources):
            raise FileError(
                f"{path} cannot be read as weights: it is a program that runs when loaded (__setstate__); save its state_dict()"
            )
    with warnings.catch_warnings():
        # torch.jit is deprecated as a way to run networks; files that were published in it stay
        warnings.simplefilter("ignore")
        try:
            return dict(torch.jit.load(str(path), map_location="cpu").state_dict())
        except Exception as error:  # its reader is C++, and raises whatever it meets
            raise FileError(f"{path} cannot be read as weights ({reason(error)}). Get it again.") from error
