"""How far a training is, from the end of its log of metrics."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from difflab.studies.execution.last_words import tail


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
    step, speed = 0, None
    for line in reversed(tail(run / "metrics.jsonl", 16_384).splitlines()):
        try:
            row = json.loads(line)
        except ValueError:  # torn, at either end
            continue
        step = max(step, int(row["step"]))
        speed = row.get("train/images_per_second")
        if speed is not None:
            break
    return Progress(step, speed)
