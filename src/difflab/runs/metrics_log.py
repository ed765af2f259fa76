"""The local record of metrics."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from difflab.files import append_text, atomic_file, flush
from difflab.reading.json import dumps
from difflab.runs.metrics_file import end_of_step, lines, lines_from_end, row_of

_log = logging.getLogger(__name__)

_BEGINNING = b'{"step": '
"""Of a line that is written here."""


class MetricsLog(Logger):
    """metrics.jsonl: a line per logged step with all that was logged at it.

    For example {"step": 500, "train/loss": 0.05, ...}; null is a number that was not finite.

    The run directory is the truth and W&B mirrors it. A run that goes on from a checkpoint drops the lines after it (`rewind`), since it
    will write them again.

    Lightning's own callbacks count the optimizer steps before the one that is in progress: what they log is part of the line that is being
    gathered. An older step is a line of its own.

    Args:
        path: Of the file.
    """

    def __init__(self, path: str | Path):
        super().__init__()
        self.path = Path(path)
        self._row: dict[str, float] = {}

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def save_dir(self) -> str:
        """The run's directory: Lightning puts a profiler's report there."""
        return str(self.path.parent)

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
        number = -1 if step is None else step
        values = {name: float(value) for name, value in metrics.items() if name != "epoch"}
        if number > self._row.get("step", number):
            self._write()
        if number < self._row.get("step", number) - 1:
            self._append({"step": number} | values)
        else:
            self._row = {"step": number} | self._row | values

    @rank_zero_only
    def save(self) -> None:
        """Writes the line that has been gathered so far, and has all lines on the disk.

        The step's line is complete when the next step logs.
        """
        self._write()
        if self.path.exists():
            flush(self.path)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    def rewind(self, step: int) -> None:
        """Drops what was logged after a step: cuts the file where that ends, and reads nothing of what stays.

        What holds no metrics was not logged here, and is nobody's to throw away: metrics.strange is then a copy of the file as it was.
        """
        if not self.path.exists():
            return
        self._mend_last_line()
        end = end_of_step(self.path, step)
        if any(line.strip() and row_of(line) is None for _, _, line in lines(self.path, end)):
            aside = self.path.with_suffix(".strange")
            _log.warning(
                "%s ends with lines that hold no metrics and go; %s has the file as it was", self.path, aside.name
            )
            with atomic_file(aside) as copy:
                shutil.copyfile(self.path, copy)
        with self.path.open("r+b") as file:
            file.truncate(end)

    def _mend_last_line(self) -> None:
        """Takes away a line that a kill has torn. One that lacks its end alone gets that."""
        begin = next((end for _, end, _ in lines_from_end(self.path)), 0)
        _, _, line = next(lines(self.path, begin), (0, 0, b""))
        torn = row_of(line) is None and (line.startswith(_BEGINNING) or _BEGINNING.startswith(line))
        with self.path.open("r+b") as file:
            if torn:
                file.truncate(begin)
            else:
                file.seek(0, 2)
                file.write(b"\n")

    def _write(self) -> None:
        if self._row:
            self._append(self._row)
            self._row = {}

    def _append(self, row: dict[str, float]) -> None:
        append_text(self.path, dumps(row) + "\n")
