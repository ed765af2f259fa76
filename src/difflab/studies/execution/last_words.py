"""What a log says at its end of why a process failed."""

from __future__ import annotations

import os
import re
from pathlib import Path

START = "--- start "
"""With `of <task>` behind it: begins the line that is written at each start of a task."""

_BEGUN = re.compile(r"--- start (of |\d+ of job \S+ on )")
"""Such a line, also as a batch script writes it; the verdict on a start begins like it and goes on in another way."""

_TAIL = 32_768
_ERROR = re.compile(
    r"^(\w+\.)*\w*(Error|Exception|Interrupt)\b|^error: |diverged|\bKilled\b|CANCELLED|DUE TO TIME LIMIT|out of memory",
    re.I,
)


def last_error(log: Path) -> str:
    """The last line since the last start that speaks of an error, else the last line; "" without a log."""
    lines = [line.strip() for line in tail(log).splitlines()]
    begin = max((i for i, line in enumerate(lines) if _BEGUN.match(line)), default=-1)
    said = [line for line in lines[begin + 1 :] if line]
    return next((line for line in reversed(said) if _ERROR.search(line)), said[-1] if said else "")[:500]


def tail(path: Path, size: int = _TAIL) -> str:
    """The end of a file; "" if there is none."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - size))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
