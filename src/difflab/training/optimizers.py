"""Several optimizers in one, each for the weights that its patterns name: with its own learning rate, schedule and bound on the gradient.

Towards Lightning, strategies and checkpoints they are one optimizer whose groups of weights are treated differently: one backward pass
makes all gradients, accumulation, averages and the watch over divergence see one step, and a checkpoint holds one state.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from difflab.suggest import near_name

PART = "part"
"""Option of a group of weights: the name of the optimizer to which it belongs."""


class OptimizerPart:
    """One optimizer, and which weights it has.

    Args:
        optimizer: Weights -> optimizer. Without a learning rate of its own it has that of `Optimizers`.
        patterns: Of names of weights, as network.*.weight; it has those that one of them matches and no part before it has.
        skip: Patterns of names that it has not.
        dims: Number of dimensions that a weight must have, 2 for matrices; None for any.
        lr_schedule: Optimizer -> schedule of its learning rate; None for that of the module.
        clip: Largest norm of the gradient of its weights; None for none beside the Trainer's, which is over all weights.
        every: It takes only each so many-th step; gradients of the others are left out.
    """

    def __init__(
        self,
        optimizer: Callable[..., Optimizer],
        patterns: Sequence[str] = ("*",),
        skip: Sequence[str] = (),
        dims: int | None = None,
        lr_schedule: Callable[[Optimizer], LRScheduler] | None = None,
        clip: float | None = None,
        every: int = 1,
    ):
        if clip is not None and clip <= 0:
            raise ValueError(f"clip={clip}: the largest norm of a gradient is positive, or null for none")
        if every < 1:
            raise ValueError(f"every={every}: an optimizer takes each step (1), or each so many-th")
        self.optimizer = optimizer
        self.patterns = list(patterns)
        self.skip = list(skip)
        self.dims = dims
        self.lr_schedule = lr_schedule
        self.clip = clip
        self.every = every

    def takes(self, name: str, weight: Tensor) -> bool:
        """Whether a weight is one of its own."""
        if self.dims not in (None, weight.dim()) or any(fnmatchcase(name, pattern) for pattern in self.skip):
            return False
        return any(fnmatchcase(name, pattern) for pattern in self.patterns)

    def built(self, groups: list[dict[str, Any]], lr: float | None, fused: bool) -> Optimizer:
        """The optimizer of its weights, in one kernel where it has one."""
        known = inspect.signature(self.optimizer).parameters
        options: dict[str, Any] = {}
        if lr is not None and "lr" not in getattr(self.optimizer, "keywords", {}):
            options["lr"] = lr
        if fused and "fused" in known:
            options["fused"] = True
        return self.optimizer(groups, **options)


class Optimizers(Optimizer):
    """Several optimizers that step together.

    Args:
        weights: All weights, or groups of them, as an optimizer takes them.
        parts: Name -> optimizer with its weights; a weight belongs to the first that takes it.
        names: Weight -> name.
        fused: Whether those that can use one kernel for all weights.
        lr: Learning rate of those that have none of their own.

    Raises:
        ValueError: A weight belongs to none, a part has no weight, or a pattern matches none.
    """

    def __init__(
        self,
        weights: Iterable[Any],
        parts: Mapping[str, OptimizerPart],
        names: Mapping[nn.Parameter, str],
        fused: bool,
        lr: float | None = None,
    ):
        given = list(weights)
        grouped = given if given and isinstance(given[0], dict) else [{"params": given}]
        groups = [list(group["params"]) for group in grouped]
        self.parts = dict(parts)
        for name, part in self.parts.items():
            for pattern in part.patterns:
                check_pattern(f"optimizer.parts.{name}", pattern, names.values())
        self.optimizers: dict[str, Optimizer] = {}
        owners = {p: self._owner(names[p], p) for group in groups for p in group}
        for name, part in self.parts.items():
            own = [[p for p in group if owners[p] == name] for group in groups]
            if not any(own):
                raise ValueError(
                    f"optimizer.parts.{name} has no weight: its patterns, or those before it, leave it none"
                )
            options = {PART: name, "taken": 0}
            self.optimizers[name] = part.built([{"params": group, **options} for group in own if group], lr, fused)
        super().__init__([p for group in groups for p in group], {})
        self._unite()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Steps each optimizer whose turn it is, after the gradients of its weights have been clipped."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for name, optimizer in self.optimizers.items():
            part, taken = self.parts[name], optimizer.param_groups[0]["taken"] + 1
            for group in optimizer.param_groups:
                group["taken"] = taken
            if taken % part.every == 0:
                if part.clip is not None:
                    _clip(optimizer, part.clip)
                optimizer.step()
        return loss

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continues each optimizer from what `state_dict` gave."""
        super().load_state_dict(dict(state_dict))
        state, groups = self.state, self.param_groups
        for name, optimizer in self.optimizers.items():
            optimizer.param_groups = [group for group in groups if group[PART] == name]
            own = [p for group in optimizer.param_groups for p in group["params"]]
            optimizer.state = defaultdict(dict, {p: state[p] for p in own if p in state})
        self._unite()

    def schedule(self, other: Callable[[Optimizer], LRScheduler]) -> LRScheduler:
        """The schedule of the learning rates.

        Args:
            other: Schedule of those parts that have none of their own.
        """
        if all(part.lr_schedule is None for part in self.parts.values()):
            return other(self)
        return Schedules(self, {n: (self.parts[n].lr_schedule or other)(one) for n, one in self.optimizers.items()})

    def _owner(self, name: str, weight: Tensor) -> str:
        found = next((one for one, part in self.parts.items() if part.takes(name, weight)), None)
        if found is None:
            raise ValueError(
                f"no part of the optimizer has the weight {name}: give the last of {', '.join(self.parts)} the patterns ['*']"
            )
        return found

    def _unite(self) -> None:
        """Makes groups and states of the optimizers its own."""
        self.param_groups = [group for one in self.optimizers.values() for group in one.param_groups]
        owners = {p: one for one in self.optimizers.values() for group in one.param_groups for p in group["params"]}
        self.state: Any = _States(owners)


class Schedules(LRScheduler):
    """The schedules of several optimizers, which advance together.

    Args:
        optimizer: All of them.
        schedules: Name -> schedule of one.
    """

    def __init__(self, optimizer: Optimizers, schedules: Mapping[str, LRScheduler]):
        self.optimizer = optimizer
        self.schedules = dict(schedules)

    def step(self, epoch: int | None = None) -> None:
        for schedule in self.schedules.values():
            schedule.step()

    def get_last_lr(self) -> list[Any]:
        return [lr for schedule in self.schedules.values() for lr in schedule.get_last_lr()]

    def state_dict(self) -> dict[str, Any]:
        return {name: schedule.state_dict() for name, schedule in self.schedules.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, schedule in self.schedules.items():
            schedule.load_state_dict(state_dict[name])


class _States(MutableMapping[nn.Parameter, Any]):
    """Weight -> its state, kept by the optimizer to which it belongs."""

    def __init__(self, owners: Mapping[nn.Parameter, Optimizer]):
        self._owners = owners

    def __getitem__(self, weight: nn.Parameter) -> Any:
        state = self._owners[weight].state
        if weight not in state:
            raise KeyError(weight)
        return state[weight]

    def __setitem__(self, weight: nn.Parameter, state: Any) -> None:
        self._owners[weight].state[weight] = state

    def __delitem__(self, weight: nn.Parameter) -> None:
        del self._owners[weight].state[weight]

    def __iter__(self) -> Iterator[nn.Parameter]:
        return (weight for weight, owner in self._owners.items() if weight in owner.state)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def scheduled(optimizer: Optimizer, lr_schedule: Callable[[Optimizer], LRScheduler]) -> LRScheduler:
    """The schedule of an optimizer's learning rate, or of several."""
    return optimizer.schedule(lr_schedule) if isinstance(optimizer, Optimizers) else lr_schedule(optimizer)


def check_pattern(where: str, pattern: str, names: Iterable[str]) -> None:
    """A ValueError for a pattern that matches none of these names; with the near one."""
    known = list(names)
    if not any(fnmatchcase(name, pattern) for name in known):
        near = near_name(pattern, known)
        hint = f"did you mean {near}?" if near else f"they are called as {known[0]}" if known else "there are none"
        raise ValueError(f"{where}: no weight is called {pattern}; {hint}")


def _clip(optimizer: Optimizer, most: float) -> None:
    weights = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    kinds = [[p for p in weights if isinstance(p, DTensor) is cut] for cut in (True, False)]
    norms = [nn.utils.get_total_norm([p.grad for p in kind]) for kind in kinds if kind]
    whole = [norm.full_tensor() if isinstance(norm, DTensor) else norm for norm in norms]
    norm = whole[0] if len(whole) == 1 else nn.utils.get_total_norm(whole)
    for kind in kinds:
        nn.utils.clip_grads_with_norm_(kind, most, norm)
