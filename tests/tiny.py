"""A denoiser of a few weights, the module around it and a Trainer without watchers."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from difflab.data import ArrayImages, ImageData
from difflab.denoiser import Denoiser
from difflab.ema import Constant
from difflab.guidance import Clip
from difflab.networks import Network
from difflab.objectives import Objective, Simple
from difflab.objectives.time_samplers import Uniform
from difflab.objectives.weightings import Unweighted
from difflab.parameterizations import Epsilon
from difflab.samplers import DDIM
from difflab.samplers.grids import UniformGrid
from difflab.schedules import cosine
from difflab.training import DiffusionModule
from difflab.training.callbacks import EMACallback, GuidanceCallback, ObjectiveCallback
from difflab.types import Condition, Label
from difflab.variances import FixedSmall

CLASSES = 3


def losses_of(socket: ObjectiveCallback, model: Any, x_0: Tensor, cond: Condition, noise: Any) -> Any:
    """What a training step does with the objective."""
    cond = socket.condition(x_0, cond, noise)
    losses = socket.objective(model, x_0, cond, noise)
    socket.record(losses, noise)
    return losses


class TinyNetwork(Network):
    """A convolution, a bias per class (the last one is for a dropped class) and one per time."""

    def __init__(self):
        super().__init__()
        self.in_channels = self.out_channels = 1
        self.image_size = 4
        self.conv = nn.Conv2d(1, 1, 3, padding=1)
        self.by_class = nn.Embedding(CLASSES + 1, 1)
        self.by_time = nn.Linear(1, 1)

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        label = (
            torch.full((len(x),), CLASSES, device=x.device)
            if Label.of(cond) is None
            else Label.of(cond).number % (CLASSES + 1)
        )
        bias = self.by_class(label) + self.by_time(time[:, None].to(x.dtype) / 1000)
        return self.conv(x) + bias[:, :, None, None]


def tiny_denoiser(steps: int = 20) -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(TinyNetwork(), cosine(steps), Epsilon(), FixedSmall())


def simple() -> Simple:
    return Simple(Uniform(), Unweighted())


def tiny_module(
    objective: Objective | None = None, log_every: int = 2, condition_dropout: float = 0.0, **changes: Any
) -> DiffusionModule:
    """Changes are arguments of DiffusionModule."""
    arguments: dict[str, Any] = {
        "denoiser": tiny_denoiser(),
        "objective": ObjectiveCallback(objective or simple(), log_every, condition_dropout),
        "ema": EMACallback({"fast": Constant(0.5)}),
        "guidance": GuidanceCallback({"clip": Clip()}),
        "sampler": DDIM(UniformGrid(4)),
        "optimizer": partial(torch.optim.SGD, lr=0.1),
        "lr_schedule": _constant,
        "num_classes": CLASSES,
        "seed": 0,
    }
    return DiffusionModule(**(arguments | changes))


def tiny_images(count: int = 17) -> ArrayImages:
    pixels = torch.randint(0, 256, (count, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ArrayImages(pixels, torch.arange(count) % CLASSES)


def fit(
    module: DiffusionModule,
    callbacks: Iterable[pl.Callback] = (),
    steps: int = 6,
    batch_size: int = 12,
    accumulate: int = 1,
    evaluate_every: int | None = None,
    logger: Any = False,
    checkpoint: Any = None,
    data: ImageData | None = None,
    **options: Any,
) -> pl.Trainer:
    """Trains on the CPU, without a word; options are the Trainer's."""
    data = data or ImageData(tiny_images(), batch_size, 4, 1, CLASSES)
    trainer = pl.Trainer(
        max_steps=steps,
        max_epochs=-1,
        accelerator="cpu",
        accumulate_grad_batches=accumulate,
        callbacks=list(callbacks),
        logger=logger,
        use_distributed_sampler=False,
        check_val_every_n_epoch=None,
        val_check_interval=None if evaluate_every is None else evaluate_every * accumulate,
        limit_val_batches=0 if evaluate_every is None else 1,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=any(isinstance(callback, pl.callbacks.ProgressBar) for callback in callbacks),
        enable_checkpointing=any(isinstance(callback, pl.callbacks.Checkpoint) for callback in callbacks),
        log_every_n_steps=1,
        **options,
    )
    trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    return trainer


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in module.named_parameters()}


class AtEachStep(pl.Callback):
    """Calls a function (trainer, module) at the end of every micro-batch."""

    def __init__(self, function: Callable[[pl.Trainer, Any], None]):
        self.function = function

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        self.function(trainer, pl_module)


class Rows(pl.loggers.logger.DummyLogger):
    """A logger that keeps what it is given: step -> metrics."""

    def __init__(self):
        super().__init__()
        self.rows: dict[int, dict[str, float]] = {}

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:  # type: ignore[override]
        self.rows.setdefault(-1 if step is None else step, {}).update(metrics)


def _constant(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
