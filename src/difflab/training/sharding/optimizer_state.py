"""The one form of optimizer state in checkpoints: that of torch's optimizer on one process.

    {"state": {i: {"step": ..., "exp_avg": whole tensor, ...}}, "param_groups": [{"lr": ..., "params": [0, 1, ...]}]}

i counts the trained parameters in their order. Sharding strategies gather it when saving and take their shares when loading, so a
checkpoint does not tell which strategy wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

ParameterStates = Mapping[str, Mapping[str, Any]]
"""Name of a parameter -> name of a quantity -> its value."""


def canonical(names: Sequence[str], states: ParameterStates, optimizer: Optimizer) -> dict[str, Any]:
    """Whole states by name, to torch's form."""
    group = optimizer.param_groups[0]  # further ones, of weights of another kind, have the same options
    options = {key: value for key, value in group.items() if key != "params"}
    return {
        "state": {i: dict(states[name]) for i, name in enumerate(names) if states[name]},
        "param_groups": [{**options, "params": list(range(len(names)))}],
    }


def by_name(names: Sequence[str], saved: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """torch's form, to whole states by name."""
    (group,) = saved["param_groups"]
    if len(group["params"]) != len(names):
        raise ValueError(
            f"the checkpoint's optimizer has {len(group['params'])} parameters, this model trains {len(names)}: they do not belong together"
        )
    return {name: dict(saved["state"].get(i, {})) for i, name in enumerate(names)}


def take_options(saved: Mapping[str, Any], optimizer: Optimizer) -> None:
    """The learning rate and the like of the checkpoint, for every group of the optimizer."""
    (group,) = saved["param_groups"]
    for mine in optimizer.param_groups:
        mine.update({key: value for key, value in group.items() if key != "params"})


def is_elementwise(key: str, value: object, weight: Tensor) -> bool:
    """Whether a quantity of an optimizer has a value for every element of the weight; torch's count of steps has not, also where both are
    scalars."""
    return key != "step" and isinstance(value, Tensor) and value.shape == weight.shape
