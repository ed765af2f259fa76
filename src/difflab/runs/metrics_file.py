"""Reading the local record of metrics, which `MetricsLog` writes: a line at a time, from its end, and as lines come.

Reading the local record of metrics, which `MetricsLog` writes: a line at a time and from either end, however long it is.

A line is a JSON object with a whole `step` and numbers by name. What is something else, as the rubbish of a broken disk or the line of
another program, is passed over.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from math import nan
from pathlib import Path

_log = logging.getLogger(__name__)

LONGEST = 1 << 20
"""Bytes of a line; a longer one is no line of metrics."""

_BLOCK = 1 << 16
_NUMBERS = {int, float, type(None)}


def read_metrics(path: str | Path) -> list[dict[str, float]]:
    """The lines of a metrics.jsonl, one for each step in their order; what was not finite is NaN.

    All of it is in memory then: `rows` gives one at a time.
    """
    merged: dict[float, dict[str, float]] = {}
    for row in rows(path):
        merged.setdefault(row["step"], {}).update(row)
    return [merged[step] for step in sorted(merged)]


def rows(path: str | Path, start: int = 0) -> Iterator[dict[str, float]]:
    """The lines from a byte on, as they stand; an interruption between two writers of a step leaves that in two lines."""
    strange, first = 0, 0
    for place, _, line in lines(path, start):
        row = row_of(line)
        if row is not None:
            yield row
        elif line.strip():
            strange, first = strange + 1, first if strange else place
    if strange:
        _log.warning(
            "%s: %d of its lines hold no metrics (the first at byte %d) and are left out", path, strange, first
        )


def rows_from_end(path: str | Path) -> Iterator[dict[str, float]]:
    """The last line first. One that is still being written, or was torn by a kill, is left out."""
    return (row for _, _, line in lines_from_end(path) if (row := row_of(line)) is not None)


def row_of(line: bytes) -> dict[str, float] | None:
    """The numbers of a line, the step as an integer; None if it holds none."""
    if len(line) > LONGEST:
        return None
    try:
        row = json.loads(line.decode())
        step = row.pop("step")
        kinds = set(map(type, row.values()))
        if type(step) is not int or not -1 <= step < 1 << 53 or not kinds <= _NUMBERS:
            return None
        if kinds - {float}:
            row = {name: nan if value is None else float(value) for name, value in row.items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    row["step"] = step
    return row


def lines(path: str | Path, start: int = 0) -> Iterator[tuple[int, int, bytes]]:
    """(where it begins, where it ends, the line) from a byte on. A line that is too long is cut."""
    with Path(path).open("rb") as file:
        end = file.seek(start)
        while line := file.readline(LONGEST + 1):
            begin, end = end, end + len(line)
            rest = line
            while not rest.endswith(b"\n") and (rest := file.readline(LONGEST)):
                end += len(rest)
            yield begin, end, line


def lines_from_end(path: str | Path) -> Iterator[tuple[int, int, bytes]]:
    """The same, the last line first; one without an end is left out."""
    with Path(path).open("rb") as file:
        place = file.seek(0, 2)
        end, rest = None, b""  # of the line of which only what follows `place` has been read
        while place:
            size = min(_BLOCK, place)
            at, place = place, place - size
            file.seek(place)
            first, *later = file.read(size).split(b"\n")
            for piece in reversed(later):
                at -= len(piece)
                if end is not None:
                    yield at, end, piece + rest
                end, rest = at, b""
                at -= 1
            rest = (first + rest)[: LONGEST + 1]
        if end is not None:
            yield 0, end, rest


def end_of_step(path: str | Path, step: int) -> int:
    """The byte at which the lines up to a step end; 0 if there are none. Reads no more than what comes after."""
    for _, end, line in lines_from_end(path):
        row = row_of(line)
        if row is not None and row["step"] <= step:
            return end
    return 0


class MetricsTail:
    """Gives each line once, after it was written, and none twice.

    Args:
        path: Of metrics.jsonl, which need not be there yet.
        after: A step; the lines up to it are passed over.
    """

    def __init__(self, path: Path, after: int):
        self.path = path
        self._read = end_of_step(path, after) if path.exists() else 0

    def new(self) -> Iterator[dict[str, float]]:
        """The whole lines since the last look, in order.

        A run that is interrupted between two writers of one step has that step in two lines, which are given as one.
        """
        if not self.path.exists():
            return
        size = (
            self.path.stat().st_size
        )  # what is written from here on is for the next look: it may be beyond the last step of this one
        last = next((row["step"] for row in rows_from_end(self.path)), -1)
        merged: dict[str, float] = {}
        for _, end, line in lines(self.path, self._read):
            if end > size or not line.endswith(b"\n"):
                break
            self._read = end
            row = row_of(line)
            if row is None or row["step"] > last:  # a stray step beyond the last would hold up all that follow
                continue
            if merged and row["step"] != merged["step"]:
                yield merged
                merged = {}
            merged |= row
        if merged:
            yield merged
