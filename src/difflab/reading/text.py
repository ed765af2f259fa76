"""Bytes and text of a file, up to a size, and what is wrong with a file, in one line."""

from __future__ import annotations

import os
import reprlib
import stat
from pathlib import Path
from typing import Any

_SHORT = reprlib.Repr()  # of a list of a million the first few


class FileError(ValueError):
    """A file cannot be used. The message names it, says what is wrong and what to do."""


def shown(value: Any, length: int = 60) -> str:
    """A foreign value or name as a message may show it: on one line, without control characters, and cut.

    Args:
        value: A text, which is shown without quotes, or anything with a repr.
        length: Characters at most.
    """
    try:
        text = value if isinstance(value, str) else _SHORT.repr(value)
    except (ValueError, RecursionError):  # a number of more digits than Python writes, or what is nested too deep
        text = f"a huge {type(value).__name__}"
    line = "".join(sign if sign.isprintable() else _visible(sign) for sign in text[: length + 1])
    return line if len(text) <= length else line[:length] + "..."


def printable(text: str) -> str:
    """Lines that hold foreign values, as a terminal may be given them.

    Control characters, which move its cursor or set its title, are seen and do nothing.
    """
    return "\n".join("".join(s if s.isprintable() else _visible(s) for s in line) for line in text.split("\n"))


def reason(error: BaseException) -> str:
    """What an exception of a library says, in one line; its kind where it says nothing."""
    return shown(" ".join(str(error).split()), 200) or type(error).__name__


def _visible(sign: str) -> str:
    return sign.encode("unicode_escape", "surrogatepass").decode("ascii")


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
