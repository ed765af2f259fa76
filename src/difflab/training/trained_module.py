"""The training of a model as a LightningModule, whatever the model is."""

from __future__ import annotations

import inspect
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from difflab.buffers import recompute
from difflab.ema import Average
from difflab.networks import Compute, networks_of
from difflab.noise import ImageNoise
from difflab.noisy_model import NoisyModel, held
from difflab.objectives import Objective, own_modules
from difflab.sharding import Sharding, Unsharded
from difflab.spaces import Pixels, Space
from difflab.training.callbacks.sockets import EMACallback, ObjectiveCallback
from difflab.training.optimization import Learning, check_optimization, made
from difflab.training.optimizers import scheduled
from difflab.types import Batch, Losses

_ROLLBACK_STRIDE = 1_000_003
"""Far from the seeds that people use."""

M = TypeVar("M", bound=nn.Module)


class TrainedModule(pl.LightningModule, ABC, Generic[M]):
    """Owns a model and the sockets of its training.

    A subclass holds the model, under a name by which its weights are known in checkpoints (denoiser.*, classifier.*), and nothing else that
    has weights. The model is any module that the objective can be called with. Those parts of it that are a `Network` are compiled, and cut
    by strategies that divide the weights; all else is small, and whole on every process.

    Attributes:
        model: What is trained.
        objective: What is minimised; weights that it has (a learned weighting, say) become weights of the model: trained, averaged, saved.
        ema: Averages of the weights.
        optimizer: Parameters -> optimizer. `Optimizers` is several, each for a part of the weights.
        lr_schedule: Optimizer -> learning-rate schedule, advanced with every optimizer step.
        seed: Of all randomness of training.
        learning: Which of the model's weights learn, and at which rate.
        compute: How the network is computed: kernel by kernel, or compiled.
        rollbacks: How often the run was rolled back after a divergence: each time it draws other noise and times.
        last_batch: The micro-batch that was trained on last, for those who look into a divergence.
        last_losses: See `last_batch`.
        space: In which the model lives: examples of the data are encoded into it.
    """

    space: Space = Pixels()

    def __init__(
        self,
        model: M,
        objective: ObjectiveCallback[M],
        ema: EMACallback,
        optimizer: Callable[[Iterable[torch.nn.Parameter]], Optimizer],
        lr_schedule: Callable[[Optimizer], LRScheduler],
        seed: int,
        compute: Compute,
        rollbacks: int,
    ):
        super().__init__()
        self.last_batch: Batch | None = None
        self.last_losses: Losses | None = None
        _check_trains(objective.objective, model)
        objective.objective.check(model)
        for path, part in own_modules(objective.objective).items():
            model.add_module("_".join(["objective", *path.split(".")]).rstrip("_"), part)
        _freeze(objective.objective, model)
        for path, average in held(vars(objective.objective), Average):
            average.bind(model, ema.tracks, f"objective.{path}")
        self.objective = objective
        self.ema = ema
        self.seed = seed
        self.rollbacks = rollbacks
        self.sharding: Sharding = Unsharded()
        self.learning = Learning()
        self._optimizer = optimizer
        self._lr_schedule = lr_schedule
        self._compute = compute
        self._prepared = False
        check_optimization(optimizer, lr_schedule, self.sharding.groups(model)[0], model)

    @property
    @abstractmethod
    def model(self) -> M:
        """What is trained."""

    @abstractmethod
    def configure_callbacks(self) -> list[pl.Callback]:
        """The sockets."""

    def shard_as(self, sharding: Sharding) -> None:
        """Called by a strategy that gives each process only a shard of the weights."""
        self.sharding = self.ema.tracks.sharding = sharding

    def learn(self, learning: Learning) -> None:
        """Has some of the weights learn, each at a rate of its own, in place of all. A ValueError says what cannot be."""
        learning.freeze(self.model)
        check_optimization(self._optimizer, self._lr_schedule, learning.groups(self.model, self.sharding), self.model)
        self.learning = learning

    def check_examples(self, shape: Sequence[int]) -> None:
        """Raises a ValueError if the model is not of examples of this shape (C, *size); of one that knows no noise nothing is known."""
        if isinstance(self.model, NoisyModel):
            self.space.check(self.model.image_shape, shape)

    def configure_model(self) -> None:
        if not self._prepared:  # Lightning may ask again
            for network in networks_of(self.model):
                self._compute.prepare(network, self.trainer.strategy.root_device)
            self._prepared = True

    def check_division(self, micro_batches: int, processes: int) -> None:
        """Raises a ValueError if the batch of a step is divided, and the objective or a layer has to see it as a whole.

        Args:
            micro_batches: Of a step, on each process.
            processes: How many there are.
        """
        self.objective.check_division(micro_batches, processes)
        if micro_batches > 1 and (coupled := couples_images(self.model)):
            raise ValueError(
                f"{coupled} normalises over the images of a batch, and would see {micro_batches} parts of it on each process, which is "
                "another network: leave data.micro_batch and trainer.accumulate_grad_batches out, with a data.batch_size that fits"
            )

    def on_train_start(self) -> None:
        self.check_division(self.trainer.accumulate_grad_batches, self.trainer.world_size)
        recompute(self.model)  # a checkpoint has not what follows from its weights

    def configure_optimizers(self) -> Any:
        # One kernel for all weights where the optimizer has one. Not beside the gradient scaler of 16-mixed: such optimizers take the scale
        # out by themselves, after those have looked who clip and watch the gradient. (There is no Trainer in a loop of one's own.)
        scaled = self._trainer is not None and self._trainer.scaler is not None
        weights = self.learning.groups(self.model, self.sharding)
        optimizer = made(self._optimizer, weights, self.model, fused=not scaled)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduled(optimizer, self._lr_schedule), "interval": "step"},
        }

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean loss of a micro-batch. At optimizer steps the EMA averages the weights, and callbacks write the log."""
        noise = self._noise_of(batch)
        cond = self.objective.condition(batch.x0, batch.cond, noise)
        losses = self.objective.objective(self.model, self.space.encode(batch.x0, noise), cond, noise)
        self.objective.record(losses, noise)
        self.last_batch, self.last_losses = batch, losses
        return losses.total.mean()

    def _noise_of(self, batch: Batch) -> ImageNoise:
        """The noise of a batch, by the numbers of its images.

        Dropout, from torch's own generator, begins anew by the batch's number: neither depends on how often training was interrupted.
        """
        number = self.trainer.fit_loop.total_batch_idx
        _seed_dropout(hash((self.seed, self.global_rank, number)) & (2**63 - 1), batch.x0.device)
        return ImageNoise(self.seed + _ROLLBACK_STRIDE * self.rollbacks, batch.number)

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clips as Lightning does, also where the weights are of several kinds, which torch does not clip together.

        In bfloat16 Lightning refuses optimizers of one kernel, though there is no scale that would first have to be taken out.
        """
        groups, precision = self.sharding.groups(self.model), self.trainer.precision_plugin
        refused = isinstance(precision, MixedPrecision) and precision.scaler is None
        if not gradient_clip_val or (len(groups) == 1 and not refused):
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        by_value = gradient_clip_algorithm == "value"
        norm = None if by_value else self.sharding.gradient_norm(self.model)
        for group in groups:
            if norm is None:
                nn.utils.clip_grad_value_(group, gradient_clip_val)
            else:
                nn.utils.clip_grads_with_norm_(group, gradient_clip_val, norm)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Makes Lightning's count of micro-batches that of whole optimizer steps.

        Checkpoints are written between optimizer steps. A restart with another number of accumulated batches would otherwise take its
        first step in the middle of an accumulation.
        """
        batches = checkpoint["global_step"] * self.trainer.accumulate_grad_batches
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for counts in (progress["total"], progress["current"]):
            counts.update(dict.fromkeys(counts, batches))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Nothing: watchers evaluate at validation end."""


def _seed_dropout(seed: int, device: torch.device) -> None:
    """torch.manual_seed for a step's generators; itself it goes through every kind of device, half a millisecond a step."""
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def couples_images(model: nn.Module) -> str:
    """The class of a layer whose output for an image depends on the others of the batch; "" if there is none."""
    return next((type(part).__name__ for part in model.modules() if getattr(part, "couples_images", False)), "")


def _freeze(objective: Objective[Any], model: nn.Module) -> None:
    """Freezes the models that an objective brings along. A ValueError if one would be trained or saved with the model."""
    inside = set(model.modules())
    for name, brought in objective.models.items():
        if brought in inside:
            raise ValueError(
                f"objective.{name} is a part of the model that is trained, and cannot be frozen beside it: an objective that is a module "
                "holds it in `models` alone, and not as an attribute"
            )
        brought.eval().requires_grad_(False)


def _check_trains(objective: Objective[Any], model: nn.Module) -> None:
    """A ValueError if the objective is for models of another class: that which its `check` wants."""
    wanted = [hint for name, hint in _hints(objective.check).items() if name != "return"]
    if wanted and inspect.isclass(wanted[0]) and not isinstance(model, wanted[0]):
        raise ValueError(
            f"the objective {type(objective).__name__} is for a {wanted[0].__name__}, and {type(model).__name__} is trained: "
            "module=diffusion and module=classifier need objectives of their own"
        )


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except NameError:  # a class that only a type checker sees
        return {}
