"""Bytes and text of a file, up to a size."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from difflab.reading.errors import FileError, reason

SETTINGS = 2**24
"""Bytes of a file of settings, results or provenance, at most: 16 MiB."""


def read_bytes(path: str | Path, limit: int = SETTINGS) -> bytes:
    """The content of a regular file.

    Args:
        path: Of the file. A pipe or a device, which may never end, is refused.
        limit: Bytes at most.

    Raises:
        FileError: The file cannot be read, is no regular file, or is larger.
    """
    try:
        with open(path, "rb", opener=_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FileError(f"{path} is no regular file. Name a file.")
            content = file.read(min(limit, status.st_size) + 1)  # memory for all that is asked for is taken at once
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror or error}).") from error
    if len(content) > limit:
        raise FileError(f"{path} is larger than {limit / 2**20:,.0f} MiB, which no file of its kind is. Get it again.")
    return content


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe that nobody writes to would be waited for


def read_text(path: str | Path, limit: int = SETTINGS) -> str:
    """The content of a file in UTF-8.

    Raises:
        FileError: As `read_bytes`, or the file is no UTF-8.
    """
    return as_text(read_bytes(path, limit), str(path))


def as_text(content: bytes, where: str) -> str:
    """Bytes as text.

    Args:
        content: In UTF-8, with or without a byte order mark.
        where: What an error calls it.

    Raises:
        FileError: They are none.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(f"{where} is no text in UTF-8 ({reason(error)}). Get it again.") from error
