"""What is wrong with a file, in one line."""

from __future__ import annotations

import reprlib
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
    """Lines that hold foreign values, as a terminal may be given them: control characters, which move its cursor or set its title, are
    seen and do nothing."""
    return "\n".join("".join(s if s.isprintable() else _visible(s) for s in line) for line in text.split("\n"))


def reason(error: BaseException) -> str:
    """What an exception of a library says, in one line; its kind where it says nothing."""
    return shown(" ".join(str(error).split()), 200) or type(error).__name__


def _visible(sign: str) -> str:
    return sign.encode("unicode_escape", "surrogatepass").decode("ascii")
