"""The lines of metrics.jsonl as they come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from difflab.runs.metrics_file import end_of_step, lines, row_of, rows_from_end


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
        """The whole lines since the last look, in order. A run that is interrupted between two writers of one step has that step in two
        lines, which are given as one."""
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
