"""The socket of the averaged weights."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import pytorch_lightning as pl

from difflab.ema import Averaging, Tracks
from difflab.noisy_model import NoisyModel


class EMACallback(pl.Callback):
    """Keeps any number of averages of the weights, updated after each optimizer step (not each micro-batch).

    averagings   name -> averaging; empty for none
    """

    def __init__(self, averagings: Mapping[str, Averaging]):
        self.tracks = Tracks(averagings)
        self._seen_step = 0

    def applied_to(self, model: NoisyModel, track: str) -> AbstractContextManager[None]:
        """The model with the weights of a track, within the context."""
        return self.tracks.applied_to(model, track)

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._seen_step = trainer.global_step
        self.tracks.start(pl_module.model)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step > self._seen_step:
            self._seen_step = trainer.global_step
            self.tracks.update(pl_module.model)

    def state_dict(self) -> dict[str, Any]:
        return self.tracks.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.tracks.load_state_dict(state_dict)
