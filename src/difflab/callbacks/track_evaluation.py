"""What all watchers have in common that judge the weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loops.fit_loop import _FitLoop

from difflab.ema import ONLINE

JUDGED_STEP = "judged_step"
"""Entry of a checkpoint: after how many steps the weights were judged last."""


class TrackEvaluation(pl.Callback, ABC):
    """At every validation, and once at the end: judges the weights of each EMA track, and logs eval/<track>/<label>.

    Args:
        tracks: Which weights; none means the online ones.

    Attributes:
        judged_step: After how many optimizer steps it judged last; -1 if it never did.
    """

    def __init__(self, tracks: Sequence[str]):
        self.tracks = list(tracks) or [ONLINE]
        self.judged_step = -1

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

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if trainer.global_step == trainer.max_steps and self.judged_step != trainer.global_step:
            # training began at its last step, which was not judged, or in another way
            trainer.validating = True
            trainer.fit_loop.epoch_loop.val_loop.run()
            trainer.training = True

    def state_dict(self) -> dict[str, Any]:
        return {JUDGED_STEP: self.judged_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.judged_step = state_dict[JUDGED_STEP]

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        for track in self.tracks:
            with pl_module.ema.applied_to(pl_module.model, track):
                results = self.judge(trainer, pl_module, track)
            scores = {f"eval/{track}/{label}": value for label, value in results.items()}
            if not scores:
                continue
            pl_module.log_dict(scores, logger=False)  # for those who watch a metric
            for logger in trainer.loggers:
                logger.log_metrics(scores, step=trainer.global_step)
        self.judged_step = trainer.global_step


class JudgedFitLoop(_FitLoop):
    """Lightning's loop does nothing at all where training begins at its last step. This one has the weights judged then, if they were not.

    Args:
        loop: That of the Trainer.
        judge: What judges them.
    """

    def __init__(self, loop: _FitLoop, judge: TrackEvaluation):
        super().__init__(loop.trainer, loop.min_epochs, loop.max_epochs)
        self.epoch_loop = loop.epoch_loop
        self.judge = judge

    @property
    def skip(self) -> bool:
        return super().skip and self.judge.judged_step == self.epoch_loop.global_step


class NoEvaluation(TrackEvaluation):
    """Judges nothing: of data that cannot be drawn as pictures the losses are all there is."""

    def judge(self, trainer: pl.Trainer, pl_module: Any, track: str) -> dict[str, float]:
        return {}

    def check_model(self, pl_module: Any) -> None:
        pass
