"""The socket of guidance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from difflab.classifier import NoisyClassifier
from difflab.denoiser import Denoiser
from difflab.guidance import Guidance, chained
from difflab.guidance.guidance import NOT_DROPPABLE
from difflab.noisy_model import NoisyModel, check_shares_schedule
from difflab.types import Condition, DenoiseFn

_LOOKED_AT = torch.linspace(0, 1, 11, dtype=torch.float64)
"""Times at which schedules are compared."""


class GuidanceCallback(pl.Callback):
    """Wraps the denoiser for sampling.

    Networks that the guidances bring along belong neither to the module that trains nor to its checkpoints.

    guidances   name -> guidance, the first innermost; empty for none
    """

    def __init__(self, guidances: Mapping[str, Guidance]):
        self.guidances = dict(guidances)

    @property
    def num_classes(self) -> int:
        """Classes that a guiding classifier tells apart, with which a model without classes can be guided; 0 for none."""
        return max((m.num_classes for _, m in self._brought() if isinstance(m, NoisyClassifier)), default=0)

    def check(self, condition_dropout: float) -> None:
        """Raises a ValueError if a model trained with this share of dropped conditions cannot be guided so."""
        for name, guidance in self.guidances.items():
            if guidance.needs_null_condition and condition_dropout == 0:
                raise ValueError(
                    f"guidance {name!r} asks the model for its prediction without a condition, which it learns only if conditions are "
                    "dropped in training: set condition_dropout=0.1, or leave the guidance out"
                )

    def check_model(self, denoiser: Denoiser, num_classes: int) -> None:
        """Raises a ValueError if this denoiser, drawing images of so many classes, cannot be guided so."""
        for name, guidance in self.guidances.items():
            if guidance.needs_label and not num_classes:
                raise ValueError(f"guidance {name!r} needs to know the class of each image, and these have none")
            check_shares_schedule(f"guidance.{name}", guidance, denoiser.schedule)
            there = denoiser.network.attention_places
            if not guidance.attention_places <= there:
                raise ValueError(
                    f"guidance.{name}.places = {sorted(guidance.attention_places)}: {type(denoiser.network).__name__} has self-attention "
                    f"at {sorted(there) or 'no place'}"
                )
        for where, model in self._brought():
            if isinstance(model, NoisyModel):
                _check_fits(where, model, denoiser)

    def check_condition(self, denoise: DenoiseFn, condition: Callable[[], Condition]) -> None:
        """Raises a ValueError if images that are drawn for conditions like this one cannot be guided so.

        condition   made only where a guidance depends on it
        """
        for name, guidance in self.guidances.items():
            if not guidance.needs_null_condition or guidance(denoise) is denoise:  # without effect at scale 1
                continue
            if not condition().is_droppable:
                raise ValueError(f"guidance {name!r}: {NOT_DROPPABLE}")

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        self.check_model(pl_module.denoiser, pl_module.num_classes)
        self.to(trainer.strategy.root_device)

    def to(self, device: torch.device) -> None:
        """Moves the networks that the guidances bring along."""
        for _, model in self._brought():
            model.to(device)

    def wrap_denoiser(self, denoise: DenoiseFn) -> DenoiseFn:
        """The guided denoiser, for one batch: a guidance may remember the times before."""
        return chained(list(self.guidances.values()), denoise)

    def _brought(self) -> Iterator[tuple[str, nn.Module]]:
        for name, guidance in self.guidances.items():
            for part, model in guidance.models.items():
                yield f"guidance.{name}.{part}", model


def _check_fits(where: str, model: NoisyModel, denoiser: Denoiser) -> None:
    """A ValueError if the two do not see the same x_t."""
    if model.image_shape != denoiser.image_shape:
        raise ValueError(
            f"{where} is for images {model.image_shape}, the model that it guides for {denoiser.image_shape}"
        )
    for mine, own in zip(model.schedule(_LOOKED_AT), denoiser.schedule(_LOOKED_AT), strict=True):
        if not torch.allclose(mine, own, rtol=1e-3, atol=1e-5):
            raise ValueError(
                f"{where} was trained along another noise schedule than the model that it guides, so at the same time t it expects another "
                f"amount of noise: choose one trained with the same schedule"
            )
