"""What of a model learns in a run: all of it, what patterns name, or what an adapter adds."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from difflab.adapters import Adapter
from difflab.config.groups import ConfigError
from difflab.training import TrainedModule
from difflab.training.optimization import Learning


def learn(module: TrainedModule[Any], adapter: Adapter | None, config: Mapping[str, Any], has_weights: bool) -> None:
    """Puts an adapter into the model, and has only those weights learn that are to.

    Args:
        module: With given weights in its model.
        adapter: What is added to the model; None for nothing.
        config: The run's resolved configuration, plain.
        has_weights: Whether weights were given, without which there is nothing to adapt.

    Raises:
        ConfigError: A pattern matches nothing, or the adapter does not fit.
    """
    trainable = list(config["trainable"])
    try:
        if adapter is not None:
            if not has_weights:
                raise ValueError(
                    "an adapter leaves the weights as they are, which nobody has trained: add init_from=RUN"
                )
            adapter.put_into(module.model, config["seed"])
            for name, weight in module.model.named_parameters():  # those that learn beside it
                weight.requires_grad_(weight.requires_grad or any(fnmatchcase(name, one) for one in trainable))
            trainable = [*adapter.trainable, *trainable]
        module.learn(Learning(trainable, config["lr_scale"] or {}))
    except ValueError as error:
        raise ConfigError(str(error)) from error
