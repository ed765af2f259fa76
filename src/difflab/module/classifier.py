"""The training of a noisy classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytorch_lightning as pl
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from difflab.callbacks.ema import EMACallback
from difflab.callbacks.objective import ObjectiveCallback
from difflab.classifier import NoisyClassifier
from difflab.module.trained import TrainedModule
from difflab.networks import Compute, KernelByKernel


class ClassifierModule(TrainedModule[NoisyClassifier]):
    """Trains a classifier of noised images. The arguments are those of `TrainedModule`, whose model is the classifier."""

    def __init__(
        self,
        classifier: NoisyClassifier,
        objective: ObjectiveCallback[NoisyClassifier],
        ema: EMACallback,
        optimizer: Callable[[Iterable[torch.nn.Parameter]], Optimizer],
        lr_schedule: Callable[[Optimizer], LRScheduler],
        seed: int,
        compute: Compute = KernelByKernel(),  # noqa: B008 - it has no state
        detours: int = 0,
    ):
        super().__init__(classifier, objective, ema, optimizer, lr_schedule, seed, compute, detours)
        if objective.condition_dropout:
            raise ValueError(
                f"condition_dropout={objective.condition_dropout}: the class is what a classifier learns and cannot be dropped; "
                "set condition_dropout=0"
            )
        self.classifier = classifier

    @property
    def model(self) -> NoisyClassifier:
        return self.classifier

    def configure_callbacks(self) -> list[pl.Callback]:
        return [self.objective, self.ema]
