"""What the columns of a log are called for people, and between which bounds they lie."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from difflab.metrics import MetricInfo, Protocol
from difflab.metrics.metric_info import counted
from difflab.metrics.recognised import recognised
from difflab.runs import RunDirectory

TRAINING = "train/"
QUARTERS = {
    "_q1": "times 0 to ¼ (clean)",
    "_q2": "times ¼ to ½",
    "_q3": "times ½ to ¾",
    "_q4": "times ¾ to 1 (noise)",
}
"""Ends of a loss's name -> the times that it is averaged over."""


@dataclass(frozen=True)
class Columns:
    """Reads what runs have written of their evaluations.

    Attributes:
        protocols: eval/<track>/<metric>@<N> -> how that number is measured, and what it is.
    """

    protocols: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, trainings: Iterable[Mapping[int, Path]]) -> Columns:
        """Of all runs together; a run that has written nothing, or nothing that can be read, adds nothing.

        Args:
            trainings: Seed -> directory, of each row.
        """
        found: dict[str, Mapping[str, Any]] = {}
        for runs in trainings:
            for run in runs.values():
                try:
                    found = {**RunDirectory(run).protocols(), **found}
                except (ValueError, OSError):
                    continue
        return cls(found)

    def label(self, column: str) -> str:
        """FD (digits, 500), EMA warm_up; training loss, times 0 to ¼ (clean); the key itself where nothing is known of it."""
        fields = self.protocols.get(column)
        if fields is not None:
            info, samples = self._info(column), fields.get("samples")
            name = str(fields.get("metric.name")) if info is None or not info.label else info.label
            return f"{counted(name, samples if isinstance(samples, int) else 0)}, weights {column.split('/')[1]}"
        if not column.startswith(TRAINING):
            return column
        words = column.removeprefix(TRAINING)
        quarter = next((end for end in QUARTERS if words.endswith(end)), "")
        name = words.removesuffix(quarter).replace("_", " ").replace("vlb", "variational bound")
        name = f"training {name}" if name in ("loss", "simple", "variational bound") else name
        return f"{name}, {QUARTERS[quarter]}" if quarter else name

    def bounds(self, column: str) -> tuple[float, float]:
        """Between which values of a metric lie; open where nothing is known."""
        info = self._info(column)
        return (-math.inf, math.inf) if info is None else info.bounds

    def _info(self, column: str) -> MetricInfo | None:
        """What the run says of it; of numbers without a label, what difflab's metric says."""
        fields = self.protocols.get(column)
        if fields is None:
            return None
        stated = None if fields.get("info") is None else MetricInfo.read(fields["info"], f"info of {column}")
        if stated is not None and stated.label:
            return stated
        plain = {key: value for key, value in fields.items() if key not in ("info", "fingerprint")}
        return recognised(str(fields.get("metric.name")), Protocol(plain)) or stated
