"""What the choices of `strategy=` have in common, those that Lightning has already, and the one form of optimizer state in checkpoints.

The one form of optimizer state in checkpoints: that of torch's optimizer on one process.

    {"state": {i: {"step": ..., "exp_avg": whole tensor, ...}}, "param_groups": [{"lr": ..., "params": [0, 1, ...]}]}

i counts the trained parameters group by group: there is one for each of several optimizers (`Optimizers`) and each multiple of the
learning rate (`Learning`). Sharding strategies gather it when saving and take their shards when loading, so a checkpoint does not tell
which strategy wrote it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch import Tensor, nn
from torch.optim import Optimizer

from difflab.runtime.process import SLACK
from difflab.sharding import check_no_scalars, trainable
from difflab.training.optimization import LR_SCALE
from difflab.training.optimizers import PART
from difflab.training.trained_module import TrainedModule


class TrainingStrategy(ABC):
    """How the processes of a run share its work and its memory. What comes out of a run does not depend on it.

    Attributes:
        timeout: How long a process waits for the others before it fails.
        packages: Packages that it needs and difflab does not bring along.
        cuts_flat: Whether the optimizer sees flat pieces of all weights, which scalars and clipping by value do not stand.
        divides_all: Whether no process has a whole weight, and only those that learn are put together again.
    """

    timeout: timedelta = timedelta(minutes=30)
    packages: tuple[str, ...] = ()
    cuts_flat: bool = False
    divides_all: bool = False

    @abstractmethod
    def check(self, processes: int, precision: str, optimizer: type[Optimizer]) -> None:
        """Raises a ValueError if the combination cannot work."""

    def check_module(self, module: TrainedModule[Any], gradient_clip_algorithm: str | None) -> None:
        """Raises a ValueError for a module that this way of training it cannot take, or a way of clipping its gradients.

        Args:
            module: As it was built.
            gradient_clip_algorithm: Of the trainer: norm, value, or None for that of Lightning.
        """
        if self.cuts_flat and gradient_clip_algorithm == "value":
            raise ValueError("DeepSpeed clips gradients by their norm only: leave trainer.gradient_clip_algorithm out")
        if self.cuts_flat:
            check_no_scalars(module.model)
        if self.divides_all and not all(p.requires_grad for p in module.model.parameters()):
            raise ValueError(
                "ZeRO-3 divides weights that do not learn as well, and checkpoints would lack them: with trainable or an adapter use "
                "strategy=deepspeed_2, fsdp or ddp"
            )

    @abstractmethod
    def lightning(self, processes: int) -> Strategy | str:
        """What Lightning's Trainer takes as its strategy for so many processes."""


SHARDED_PRECISIONS = ("32-true", "32", "bf16-mixed", "bf16")
"""Precisions that a strategy which divides the weights can keep: the weights and the optimizer stay float32."""


def check_sharded_precision(strategy: str, precision: str) -> None:
    """Raises a ValueError for a precision whose weights or gradients are not float32."""
    if str(precision) not in SHARDED_PRECISIONS:
        raise ValueError(
            f"strategy={strategy} keeps weights, gradients and averages in float32 and cannot do trainer.precision={precision}: use "
            "32-true or bf16-mixed (the network computes in bfloat16), or strategy=ddp"
        )


def timeout_of(minutes: float) -> timedelta:
    """A `timeout` of a strategy."""
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or minutes <= 0:
        raise ValueError(f"strategy.timeout={minutes}: expected minutes, more than 0")
    return timedelta(minutes=minutes)


class Single(TrainingStrategy):
    """One process on one device."""

    def check(self, processes: int, precision: str, optimizer: type[Optimizer]) -> None:
        if processes != 1:
            raise ValueError(
                f"strategy=single is one process, but trainer.devices and trainer.num_nodes make {processes}: set strategy=ddp (or fsdp, "
                "deepspeed_2 ...), or trainer.devices=1"
            )

    def lightning(self, processes: int) -> str:
        return "auto"  # which with one device is that device, whatever it is


class DDP(TrainingStrategy):
    """Every process has the whole model; gradients are averaged while the backward pass goes on (torch's DistributedDataParallel).

    Args:
        find_unused_parameters: Needed by networks of which a step uses only a part; costs a walk through the graph.
        timeout: Minutes that a process waits for the others before it fails.
    """

    def __init__(self, find_unused_parameters: bool = False, timeout: float = 30):
        self.find_unused_parameters = find_unused_parameters
        self.timeout = timeout_of(timeout)

    def check(self, processes: int, precision: str, optimizer: type[Optimizer]) -> None:
        return

    def lightning(self, processes: int) -> DDPStrategy:
        return DDPStrategy(
            find_unused_parameters=self.find_unused_parameters,
            timeout=self.timeout + SLACK,
            gradient_as_bucket_view=True,  # gradients lie where they are exchanged from, instead of there as well
            broadcast_buffers=False,  # they are made equal after each step, under every strategy alike
        )


class Automatic(TrainingStrategy):
    """One process alone, DDP for several."""

    def check(self, processes: int, precision: str, optimizer: type[Optimizer]) -> None:
        return

    def lightning(self, processes: int) -> Strategy | str:
        return "auto" if processes == 1 else DDP().lightning(processes)


class ShardedStrategy(DDPStrategy):
    """Processes, their group and their collectives are DDP's; a subclass says what each process keeps of the model."""

    @property
    def restore_checkpoint_after_setup(self) -> bool:
        return True  # shards are taken of what is loaded

    @property
    def module(self) -> TrainedModule[Any]:
        """What is trained."""
        module = self.lightning_module
        assert isinstance(module, TrainedModule)
        return module

    def placed(self, trainer: pl.Trainer) -> TrainedModule[Any]:
        """The module on this process's device, still whole: how `setup` begins."""
        assert self.accelerator is not None
        self.accelerator.setup(trainer)
        self.precision_plugin.convert_module(self.module)
        self.model_to_device()
        return self.module


ParameterStates = Mapping[str, Mapping[str, Any]]
"""Name of a parameter -> name of a quantity -> its value."""


def canonical(module: TrainedModule[Any], states: ParameterStates, optimizer: Optimizer) -> dict[str, Any]:
    """Whole states by name, to torch's form."""
    state: dict[int, dict[str, Any]] = {}
    groups: list[dict[str, Any]] = []
    for names, options in _groups(module, optimizer):
        first = sum(len(group["params"]) for group in groups)
        state |= {first + i: dict(states[name]) for i, name in enumerate(names) if states[name]}
        groups.append({**options, "params": list(range(first, first + len(names)))})
    return {"state": state, "param_groups": groups}


def by_name(module: TrainedModule[Any], saved: Mapping[str, Any], optimizer: Optimizer) -> dict[str, dict[str, Any]]:
    """torch's form, to whole states by name."""
    names = [name for names, _ in _groups(module, optimizer) for name in names]
    numbers = [number for group in saved["param_groups"] for number in group["params"]]
    if len(numbers) != len(names):
        raise ValueError(
            f"the checkpoint's optimizer has {len(numbers)} parameters, this model trains {len(names)}: they do not belong together"
        )
    return {name: dict(saved["state"].get(number, {})) for name, number in zip(names, numbers, strict=True)}


def take_options(saved: Mapping[str, Any], optimizer: Optimizer) -> None:
    """The learning rates and the like of the checkpoint, for every group of the optimizer."""
    options = {_kind(group): group for group in saved["param_groups"]}
    for mine in optimizer.param_groups:
        mine.update({key: value for key, value in options[_kind(mine)].items() if key != "params"})


def _kind(group: Mapping[str, Any]) -> tuple[str, float]:
    """Which of several optimizers a group is of, and its multiple of the learning rate."""
    return group.get(PART, ""), group.get(LR_SCALE, 1.0)


def _groups(module: TrainedModule[Any], optimizer: Optimizer) -> list[tuple[list[str], dict[str, Any]]]:
    """(names of its weights, options) of each kind of group; several of one kind are of weights that kernels treat apart."""
    options: dict[tuple[str, float], dict[str, Any]] = {}
    parts: dict[nn.Parameter, str] = {}
    for group in optimizer.param_groups:
        options.setdefault(_kind(group), {key: value for key, value in group.items() if key != "params"})
        parts |= dict.fromkeys(group["params"], group.get(PART, ""))
    weights = trainable(module.model).items()  # of which DeepSpeed's optimizer has flat pieces, in no parts
    kinds = {name: (parts.get(p, ""), module.learning.scale(name)) for name, p in weights}
    return [([name for name, own in kinds.items() if own == kind], found) for kind, found in options.items()]


def is_elementwise(key: str, value: object, weight: Tensor) -> bool:
    """Whether a quantity of an optimizer has a value for every element of the weight.

    torch's count of steps has not, also where both are scalars.
    """
    return key != "step" and isinstance(value, Tensor) and value.shape == weight.shape
