"""The local record of metrics."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from difflab.runs.metrics_file import read_metrics
from difflab.strict_json import dumps


class MetricsLog(Logger):
    """metrics.jsonl: a line per step with everything that was logged at it, {"step": 500, "train/loss": 0.05, ...}; null is a number
    that was not finite.

    The run directory is the truth and W&B mirrors it. A run that goes on from a checkpoint drops the lines after it (`rewind`), since it
    will write them again.

    path   of the file
    """

    def __init__(self, path: str | Path):
        super().__init__()
        self.path = Path(path)
        self._row: dict[str, float] = {}

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def version(self) -> str:
        return ""

    @property
    @rank_zero_experiment
    def experiment(self) -> None:
        return None

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if step != self._row.get("step"):
            self.save()
            self._row = {"step": -1 if step is None else step}
        self._row.update({name: float(value) for name, value in metrics.items() if name != "epoch"})

    @rank_zero_only
    def save(self) -> None:
        """Writes the line that has been gathered so far. The step's line is complete when the next step logs."""
        if self._row:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(dumps(self._row) + "\n")
            self._row = {}

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    def rewind(self, step: int) -> None:
        """Drops what was logged after a step."""
        if self.path.exists():
            rows = [row for row in read_metrics(self.path) if row["step"] <= step]
            aside = self.path.with_suffix(".tmp")
            aside.write_text("".join(dumps(row) + "\n" for row in rows), encoding="utf-8")
            os.replace(aside, self.path)
