"""How far a training is, from the end of its log of metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from difflab.runs.metrics_file import rows_from_end


@dataclass(frozen=True)
class Progress:
    """step               of optimizer, 0 before the first line
    images_per_second   None where none was logged
    """

    step: int = 0
    images_per_second: float | None = None

    def seconds_left(self, steps: int, batch: int) -> float | None:
        """At the last speed; evaluations and saving are left out of it, and come on top."""
        if not self.images_per_second:
            return None
        return max(0, steps - self.step) * batch / self.images_per_second


def progress_of(run: Path) -> Progress:
    """From metrics.jsonl; reads its end alone."""
    step = 0
    try:
        for row in islice(rows_from_end(run / "metrics.jsonl"), 100):
            step = max(step, int(row["step"]))
            speed = row.get("train/images_per_second", math.nan)
            if math.isfinite(speed):
                return Progress(step, speed)
    except OSError:  # it has not logged yet
        pass
    return Progress(step)
