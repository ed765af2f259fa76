"""Files of weights that somebody else may have written: safetensors, and what torch.save wrote. No code in them is run."""

from __future__ import annotations

import os
import pickle
import struct
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from difflab.reading.json import parse_json
from difflab.reading.text import FileError, reason, shown

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
