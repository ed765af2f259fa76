"""What all watchers have in common that judge the weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl

from difflab.ema import ONLINE


class TrackEvaluation(pl.Callback, ABC):
    """At every validation, and once at the end: judges the weights of each EMA track, and logs eval/<track>/<label>.

    tracks   which weights; none means the online ones
    """

    def __init__(self, tracks: Sequence[str]):
        self.tracks = list(tracks) or [ONLINE]

    @abstractmethod
    def judge(self, trainer: pl.Trainer, pl_module: Any, track: str) -> dict[str, float]:
        """Label -> number, for the weights that the model has now, which are those of `track`. All processes take part."""

    @abstractmethod
    def check_model(self, pl_module: Any) -> None:
        """Raises a ValueError if the model of this module cannot be judged so."""

    def check(self, pl_module: Any) -> None:
        """Raises a ValueError if a track is not among those that there are, or if the model cannot be judged."""
        self.check_model(pl_module)
        names = pl_module.ema.tracks.names
        for track in self.tracks:
            if track not in names:
                raise ValueError(f"eval.tracks names {track!r}, but there are only {', '.join(names)} to evaluate")

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        self.check(pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == trainer.max_steps:
            trainer.should_stop = True  # Lightning then validates once more, whatever the interval

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        for track in self.tracks:
            with pl_module.ema.applied_to(pl_module.model, track):
                results = self.judge(trainer, pl_module, track)
            scores = {f"eval/{track}/{label}": value for label, value in results.items()}
            pl_module.log_dict(scores, logger=False)  # for those who watch a metric
            for logger in trainer.loggers:
                logger.log_metrics(scores, step=trainer.global_step)
