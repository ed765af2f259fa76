"""The directory of a run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from difflab.runs.metrics_log import read_metrics


class RunDirectory:
    """<run.root>/<experiment>/<identity>/

    config.yaml        the resolved configuration
    provenance.json    code, versions, hardware and command of every start
    protocol.json      what the metrics mean
    metrics.jsonl      everything that was logged, a line per step
    samples/           grids of samples, <track>_<step>.png
    checkpoints/       step-<step>.ckpt, best.ckpt
    complete.json      there once training has reached its end
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.provenance = self.path / "provenance.json"
        self.protocol = self.path / "protocol.json"
        self.metrics = self.path / "metrics.jsonl"
        self.samples = self.path / "samples"
        self.checkpoints = self.path / "checkpoints"
        self.complete = self.path / "complete.json"

    def begin(self, config: DictConfig, start: dict[str, Any], protocol: dict[str, Any]) -> None:
        """Writes what is known at a start; earlier starts stay in provenance.json."""
        self.path.mkdir(parents=True, exist_ok=True)
        starts = json.loads(self.provenance.read_text()) if self.provenance.exists() else []
        _write(self.config, OmegaConf.to_yaml(config, resolve=True))
        _write(self.provenance, json.dumps([*starts, start], indent=2))
        _write(self.protocol, json.dumps(protocol, indent=2))

    def finish(self, summary: dict[str, Any]) -> None:
        """Marks the run as complete."""
        _write(self.complete, json.dumps(summary, indent=2))

    def last_scores(self) -> dict[str, float]:
        """The metrics of the last evaluation."""
        rows = read_metrics(self.metrics) if self.metrics.exists() else []
        for row in reversed(rows):
            scores = {name: value for name, value in row.items() if name.startswith("eval/")}
            if scores:
                return scores
        return {}

    def last_grid(self) -> Path | None:
        """The newest picture of samples."""
        grids = sorted(self.samples.glob("*.png"), key=lambda path: (path.stem.rsplit("_", 1)[-1], path.name))
        return grids[-1] if grids else None


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    aside = path.with_name(path.name + ".tmp")
    aside.write_text(text)
    os.replace(aside, path)
