"""The local record of metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from difflab.files import append_text, flush, write_text
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
            self._write()
            self._row = {"step": -1 if step is None else step}
        self._row.update({name: float(value) for name, value in metrics.items() if name != "epoch"})

    @rank_zero_only
    def save(self) -> None:
        """Writes the line that has been gathered so far, to the disk. The step's line is complete when the next step logs."""
        self._write()
        if self.path.exists():
            flush(self.path)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    def _write(self) -> None:
        if self._row:
            append_text(self.path, dumps(self._row) + "\n")
            self._row = {}

    def rewind(self, step: int) -> None:
        """Drops what was logged after a step."""
        if self.path.exists():
            rows = [row for row in read_metrics(self.path) if row["step"] <= step]
            write_text(self.path, "".join(dumps(row) + "\n" for row in rows))
