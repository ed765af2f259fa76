"""The training of a denoiser, of a noisy classifier, and of a model that knows no noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import pytorch_lightning as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from difflab.classifier import NoisyClassifier
from difflab.former_names import Neutral
from difflab.networks import Compute, KernelByKernel
from difflab.noisy_model import DenoisingModel, check_shares_schedule
from difflab.samplers import Onlooker, Sampler, draw
from difflab.spaces import Pixels, Space
from difflab.training.callbacks.guidance import GuidanceCallback
from difflab.training.callbacks.sockets import EMACallback, ObjectiveCallback
from difflab.training.trained_module import TrainedModule
from difflab.types import Condition


class DiffusionModule(TrainedModule[DenoisingModel]):
    """Trains a denoiser, the model of `TrainedModule`, whose other arguments it has as well; and draws images with it.

    Attributes:
        guidance: What is put around the denoiser when sampling.
        sampler: How images are drawn.
        num_classes: Classes that the denoiser is told, or that guide it; 0 for none.
    """

    def __init__(
        self,
        denoiser: DenoisingModel,
        objective: ObjectiveCallback[Any],
        ema: EMACallback,
        guidance: GuidanceCallback,
        sampler: Sampler,
        optimizer: Callable[[Iterable[torch.nn.Parameter]], Optimizer],
        lr_schedule: Callable[[Optimizer], LRScheduler],
        num_classes: int,
        seed: int,
        compute: Compute = KernelByKernel(),  # noqa: B008 - it has no state
        rollbacks: int = 0,
        space: Neutral[Space | Mapping[str, Any]] = MappingProxyType({}),
    ):
        super().__init__(denoiser, objective, ema, optimizer, lr_schedule, seed, compute, rollbacks)
        guidance.check(objective.dropout)
        check_shares_schedule("conditioning", objective.conditionings, denoiser.schedule)
        sampler.check(denoiser.schedule, denoiser.process, denoiser.image_shape)
        self.denoiser = denoiser
        self.guidance = guidance
        self.sampler = sampler
        self.num_classes = num_classes
        self.space = space if isinstance(space, Space) else Pixels()

    @property
    def model(self) -> DenoisingModel:
        return self.denoiser

    def configure_callbacks(self) -> list[pl.Callback]:
        return [self.objective, self.ema, self.guidance]

    def sample(
        self, seeds: Int[Tensor, " b"], cond: Condition, onlooker: Onlooker | None = None
    ) -> Float[Tensor, "b c *size"]:
        """One image per seed from the guided denoiser, with the weights that it has now, as it is seen.

        Args:
            seeds: One per image.
            cond: What the images are drawn for.
            onlooker: Is shown the walk, in the model's own units.
        """
        denoise = self.guidance.wrap_denoiser(self.denoiser)
        schedule, shape = self.denoiser.schedule, self.denoiser.image_shape
        return self.space.decode(draw(denoise, schedule, self.sampler, shape, seeds, cond, onlooker=onlooker))

    def setup(self, stage: str) -> None:
        self.space.to(self.trainer.strategy.root_device)


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
        rollbacks: int = 0,
    ):
        super().__init__(classifier, objective, ema, optimizer, lr_schedule, seed, compute, rollbacks)
        if objective.dropout:
            raise ValueError(
                f"condition_dropout={objective.dropout}: the class is what a classifier learns and cannot be dropped; "
                "set condition_dropout=0"
            )
        self.classifier = classifier

    @property
    def model(self) -> NoisyClassifier:
        return self.classifier

    def configure_callbacks(self) -> list[pl.Callback]:
        return [self.objective, self.ema]


class PlainModule(TrainedModule[nn.Module]):
    """Trains a model that knows neither noise nor a schedule: an autoencoder, say, perhaps with a discriminator beside it.

    The arguments are those of `TrainedModule`.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: ObjectiveCallback[nn.Module],
        ema: EMACallback,
        optimizer: Callable[[Iterable[torch.nn.Parameter]], Optimizer],
        lr_schedule: Callable[[Optimizer], LRScheduler],
        seed: int,
        compute: Compute = KernelByKernel(),  # noqa: B008 - it has no state
        rollbacks: int = 0,
    ):
        super().__init__(model, objective, ema, optimizer, lr_schedule, seed, compute, rollbacks)
        self.trained = model

    @property
    def model(self) -> nn.Module:
        return self.trained

    def configure_callbacks(self) -> list[pl.Callback]:
        return [self.objective, self.ema]
