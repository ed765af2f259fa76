"""The model with the weights of one of its averages, for an objective that asks it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from difflab.ema.tracks import Tracks


class Average:
    """The model that is trained, with the weights of one of its averages, without gradients and in evaluation mode.

    It is called as the model is, and is where an objective wants its target to move slowly (consistency models, arXiv 2303.01469; mean
    teachers, arXiv 1703.01780). The weights are lent to the model for the call; none is copied where each process has all of them.

    Args:
        track: Name of the average, as in `ema`.
    """

    def __init__(self, track: str):
        self.track = track
        self._model: nn.Module | None = None
        self._tracks: Tracks | None = None

    def bind(self, model: nn.Module, tracks: Tracks, where: str = "") -> None:
        """Says whose average it is.

        Args:
            model: The model.
            tracks: Its averages.
            where: How the part is called, for the message.

        Raises:
            ValueError: There is no average of this name.
        """
        if self.track not in tracks.averagings:
            raise ValueError(
                f"{where or 'an objective'} = {self.track!r} is no average of the weights, of which there are "
                f"{', '.join(tracks.averagings) or 'none'}: choose one by ema=[{self.track}], or name another"
            )
        self._model, self._tracks = model, tracks

    @torch.no_grad()
    def __call__(self, *inputs: Any) -> Any:
        """What the model, with the weights of the average, makes of its inputs."""
        if self._model is None or self._tracks is None:
            raise RuntimeError(
                "an Average is bound to a model and its averages before it is asked: bind(model, tracks)"
            )
        was_training = self._model.training
        self._model.eval()
        try:
            with self._tracks.applied_to(self._model, self.track):
                return self._model(*inputs)
        finally:
            self._model.train(was_training)
