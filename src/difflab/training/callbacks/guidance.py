"""The socket of a module for guidance: an adapter of guidances that do not know Lightning, and what has to fit them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from difflab.conditioning import ConditionDropout
from difflab.guidance import Guidance, chained
from difflab.guidance.guidance import NOT_DROPPABLE
from difflab.networks import networks_of
from difflab.noisy_model import DenoisingModel, NoisyModel, check_shares_schedule
from difflab.types import Condition, DenoiseFn

_LOOKED_AT = torch.linspace(0, 1, 11, dtype=torch.float64)
"""Times at which schedules are compared."""


class GuidanceCallback(pl.Callback):
    """Wraps the denoiser for sampling.

    Networks that the guidances bring along belong neither to the module that trains nor to its checkpoints.

    Args:
        guidances: Name -> guidance, the first innermost; empty for none.
    """

    def __init__(self, guidances: Mapping[str, Guidance]):
        self.guidances = dict(guidances)

    @property
    def num_classes(self) -> int:
        """Classes that a guiding classifier tells apart, with which a model without classes can be guided; 0 for none."""
        return max((model.num_classes for _, model in self._noisy_models()), default=0)

    def check(self, dropout: ConditionDropout) -> None:
        """Raises a ValueError if a model trained with conditions dropped so cannot be guided so."""
        for name, guidance in self.guidances.items():
            if guidance.needs_null_condition and not dropout and not guidance.negative:
                raise ValueError(
                    f"guidance {name!r} asks the model for its prediction without a condition, which it learns only if conditions are "
                    "dropped in training: set condition_dropout=0.1, or leave the guidance out"
                )

    def check_model(self, denoiser: DenoisingModel, num_classes: int) -> None:
        """Raises a ValueError if this denoiser, drawing images of so many classes, cannot be guided so."""
        for name, guidance in self.guidances.items():
            if guidance.needs_self_conditioning and not any(net.reads_estimate for net in networks_of(denoiser)):
                raise ValueError(f"guidance {name!r} hands an estimate of x_0 on: it needs network=self_conditioned")
            if guidance.needs_label and not num_classes:
                raise ValueError(f"guidance {name!r} needs to know the class of each image, and these have none")
            check_shares_schedule(f"guidance.{name}", guidance, denoiser.schedule)
            there = denoiser.network.attention_places
            if not guidance.attention_places <= there:
                raise ValueError(
                    f"guidance.{name}.places = {sorted(guidance.attention_places)}: {type(denoiser.network).__name__} has self-attention "
                    f"at {sorted(there) or 'no place'}"
                )
        for where, model in self._noisy_models():
            _check_fits(where, model, denoiser)

    def check_condition(
        self, denoise: DenoiseFn, condition: Callable[[], Condition], dropout: ConditionDropout
    ) -> None:
        """Raises a ValueError if images that are drawn for conditions like this one cannot be guided so.

        Args:
            denoise: What is guided.
            condition: Makes the condition; called only where a guidance depends on it.
            dropout: What was dropped when the model was trained.
        """
        for name, guidance in self.guidances.items():
            if not guidance.needs_null_condition or guidance(denoise) is denoise:  # without effect at scale 1
                continue
            cond = condition()
            if not cond.is_droppable:
                raise ValueError(f"guidance {name!r}: {NOT_DROPPABLE}")
            for parts in guidance.dropped or [None]:
                negative = {key: one for key, one in guidance.negative.items() if parts is None or key in parts}
                try:
                    cond.null(parts, negative)
                except ValueError as error:
                    raise ValueError(f"guidance {name!r}: {error}") from error
                without = [key for key in cond.droppable if (parts is None or key in parts) and key not in negative]
                if without and not dropout.has_taught(without, cond.droppable):
                    raise ValueError(
                        f"guidance {name!r} asks the model for its prediction without {' and '.join(without)}, which it learns only if "
                        f"just that is dropped in training (condition_dropout={dropout}): set condition_dropout="
                        f"{{{', '.join(f'{key}: 0.1' for key in cond.droppable)}}}, or leave the guidance out"
                    )

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

    def _noisy_models(self) -> Iterator[tuple[str, NoisyModel]]:
        """Those of them that are asked about x_t, and not about images without noise."""
        yield from ((where, model) for where, model in self._brought() if isinstance(model, NoisyModel))


def _check_fits(where: str, model: NoisyModel, denoiser: DenoisingModel) -> None:
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
