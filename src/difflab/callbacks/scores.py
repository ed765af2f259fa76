"""The callback that tells a person what an evaluation has found."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from difflab.ema import youth
from difflab.formatting import aligned, clock
from difflab.metrics import MetricInfo


def scores_table(scores: Mapping[str, float], infos: Mapping[str, MetricInfo]) -> str:
    """Metrics below each other, EMA names beside each other.

    Args:
        scores: eval/<track>/<label> -> value.
        infos: Label -> what kind of number it is, of those of which that is known.
    """
    found = {tuple(name.split("/", 2)[1:]): value for name, value in scores.items()}
    tracks = list(dict.fromkeys(track for track, _ in found))
    rows = [("metric", *tracks, "better")]
    for label in dict.fromkeys(label for _, label in found):
        values = (f"{found[track, label]:.4g}" if (track, label) in found else "" for track in tracks)
        rows.append((label, *values, infos[label].direction if label in infos else ""))
    return "\n".join(f"  {line}" for line in aligned(rows).splitlines())


class ScoresCallback(pl.Callback):
    """A small table after every evaluation, of what the other callbacks have logged as eval/<track>/<label>.

    Args:
        infos: Label -> what kind of number it is.
        measured: What is measured against what; "" for nothing.
    """

    def __init__(self, infos: Mapping[str, MetricInfo], measured: str):
        self._infos = dict(infos)
        self._measured = measured
        self._told = set[str]()
        self._began = 0.0

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._began = time.monotonic()
        if trainer.is_global_zero and self._measured:
            print(f"step {trainer.global_step}: evaluation, {self._measured}", flush=True)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        scores = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("eval/")}
        if not trainer.is_global_zero or not scores:
            return
        print(f"step {trainer.global_step}: scores, after {clock(time.monotonic() - self._began)}")
        print(scores_table(scores, self._infos), flush=True)
        for name, averaging in pl_module.ema.tracks.averagings.items():
            young = youth(name, averaging, trainer.global_step)
            if young and name not in self._told and any(score.startswith(f"eval/{name}/") for score in scores):
                self._told.add(name)
                print(f"note: {young}", flush=True)
