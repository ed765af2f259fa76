"""Which weights learn, at which rate, and the optimizer that does it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from difflab.sharding import Sharding, trainable
from difflab.training.optimizers import check_pattern, scheduled

LR_SCALE = "lr_scale"
"""Entry of an optimizer's group: its learning rate as a multiple of the others'; groups without one have 1."""

MakeOptimizer = Callable[..., Optimizer]
MakeSchedule = Callable[[Optimizer], LRScheduler]


@dataclass(frozen=True)
class Learning:
    """What of a model learns, and how fast.

    Attributes:
        trainable: Patterns of names of weights (network.embedders.*) that learn; the rest stays as it is. Empty for all.
        lr_scale: Pattern -> multiple of the learning rate. A weight has that of the first pattern which its name matches, or 1.
    """

    trainable: Sequence[str] = ()
    lr_scale: Mapping[str, float] = field(default_factory=dict)

    def freeze(self, model: nn.Module) -> None:
        """Takes the gradients from all weights that do not learn. A ValueError for a pattern that matches none."""
        weights = dict(model.named_parameters())
        for pattern in self.trainable:
            check_pattern("trainable", pattern, weights)
        for name, weight in weights.items():
            if self.trainable and not any(fnmatchcase(name, pattern) for pattern in self.trainable):
                weight.requires_grad_(False)
        for pattern, scale in self.lr_scale.items():
            check_pattern(LR_SCALE, pattern, trainable(model))
            if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < math.inf:
                raise ValueError(
                    f"lr_scale.{pattern}={scale} must be a number above 0; weights that stay: trainable=[...]"
                )

    def scale(self, name: str) -> float:
        """The multiple of the learning rate that a weight of this name has."""
        return next((float(scale) for pattern, scale in self.lr_scale.items() if fnmatchcase(name, pattern)), 1.0)

    def names(self, model: nn.Module) -> list[str]:
        """The weights that learn in the order of the optimizer's state in checkpoints: by multiples, then as the model has them."""
        return self.ordered(trainable(model))

    def ordered(self, names: Iterable[str]) -> list[str]:
        """Those of these weights that learn, in that order."""
        learning = [n for n in names if not self.trainable or any(fnmatchcase(n, one) for one in self.trainable)]
        scales = {name: self.scale(name) for name in learning}
        return [name for scale in self._order(scales) for name, own in scales.items() if own == scale]

    def groups(self, model: nn.Module, sharding: Sharding) -> Any:
        """The weights that learn as optimizers take them, in groups of one kind (`Sharding.groups`) and one multiple."""
        scales, kinds = self._scales(model), sharding.groups(model)
        if set(scales.values()) == {1.0}:
            return kinds[0] if len(kinds) == 1 else [{"params": kind} for kind in kinds]
        of = {id(weight): scales[name] for name, weight in trainable(model).items()}
        divided = [(one, [p for p in kind if of[id(p)] == one]) for one in self._order(scales) for kind in kinds]
        return [{"params": weights, LR_SCALE: scale} for scale, weights in divided if weights]

    def _scales(self, model: nn.Module) -> dict[str, float]:
        return {name: self.scale(name) for name in trainable(model)}

    @staticmethod
    def _order(scales: Mapping[str, float]) -> list[float]:
        """The multiples, 1 first: that group's learning rate is the one that is logged."""
        return sorted(set(scales.values()), key=lambda scale: (scale != 1.0, scale))


def made(make: MakeOptimizer, weights: Any, model: nn.Module, fused: bool = False) -> Optimizer:
    """The optimizer of these weights of a model, whose names it is told if it asks for `names`.

    With one kernel for all of them where it has one and that is wanted.
    """
    asked, options = inspect.signature(make).parameters, dict[str, Any]()
    if "fused" in asked and (fused or asked["fused"].default is inspect.Parameter.empty):
        options["fused"] = fused
    if "names" in asked:
        options["names"] = {weight: name for name, weight in trainable(model).items()}
    optimizer = make(weights, **options)
    for group in optimizer.param_groups:
        if LR_SCALE in group:
            group["lr"] = group["lr"] * group[LR_SCALE]
    return optimizer


def check_optimization(make: MakeOptimizer, lr_schedule: MakeSchedule, weights: Any, model: nn.Module) -> None:
    """A ValueError for values that the optimizer or the schedule of its learning rate does not take, before anything is trained."""
    try:
        trial = made(make, weights, model)
    except (TypeError, ValueError) as error:
        raise ValueError(f"optimizer: {error}") from error
    for group in trial.param_groups:
        for name, value in group.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"optimizer.{name}={value} must be a finite number")
    rates = [float(group["lr"]) for group in trial.param_groups]
    try:
        scheduled(trial, lr_schedule)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ValueError(f"lr_schedule: {error}") from error
    begun = [float(group.get("initial_lr", group["lr"])) for group in trial.param_groups]
    if any(not math.isclose(one * rates[0], begun[0] * rate) for one, rate in zip(begun, rates, strict=True)):
        raise ValueError(
            f"lr_scale: {getattr(lr_schedule, 'func', type(lr_schedule)).__name__} gives all weights one learning rate of its own: choose "
            "an lr_schedule that multiplies the optimizer's, as cosine_decay, or leave lr_scale out"
        )
