"""Values of a training that are computed from others: the number of classes, and the split of the global batch into processes x
accumulated micro-batches x images."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import cache
from typing import TypedDict

from omegaconf import DictConfig

from difflab.config.build import build, plain
from difflab.config.groups import ConfigError
from difflab.config.values import Positive, check_values
from difflab.reading import parse_json
from difflab.strict_json import dumps

STARTED_BY = {"MASTER_ADDR", "NODE_RANK"}
"""Variables by one of which a process knows that somebody has started it beside others."""

BatchValues = TypedDict(
    "BatchValues",
    {
        "data.batch_size": Positive,
        "data.micro_batch": Positive | None,
        "trainer.num_nodes": Positive,
        "trainer.accumulate_grad_batches": Positive,
        "eval.every": Positive,
    },
)
"""What the values have to be from which others are computed."""


def divide(config: DictConfig, launched: Callable[[int], int], starts_other_nodes: bool) -> int:
    """Completes `trainer` by what torchrun or srun says, and by the accumulation that data.micro_batch means.

    Args:
        config: Of train.yaml.
        launched: The processes that the trainer would start by itself -> those that there will be.
        starts_other_nodes: Whether the launcher starts the processes of other machines.

    Returns:
        The number of processes.

    Raises:
        ConfigError: A value is of the wrong kind, or nobody starts the processes of other machines.
        DataError: The batch cannot be divided so.
    """
    from difflab.data.stream import accumulated_batches, images_per_micro_batch
    from difflab.distributed.placement import started_shape
    from difflab.distributed.world import process_count

    check_values(config, BatchValues)
    trainer, data = config.trainer, config.data
    if not re.fullmatch(r"auto|-1|0*[1-9]\d*|\[\d+(, ?\d+)*\]|\d+(,\d+)*,\d*", str(trainer.devices)):
        raise ConfigError(f"trainer.devices={trainer.devices}: a run needs a process; give their number, or auto")
    try:
        shape = started_shape()
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if shape is not None:
        trainer.devices, trainer.num_nodes = shape
    elif trainer.num_nodes > 1 and not STARTED_BY & os.environ.keys() and not starts_other_nodes:
        raise ConfigError(
            f"trainer.num_nodes={trainer.num_nodes}, but nobody starts the processes of the other machines: use launcher=slurm, srun, "
            "torchrun on every machine, or set MASTER_ADDR, MASTER_PORT and NODE_RANK on each and run the same command there"
        )
    processes = launched(process_count(trainer.accelerator, trainer.devices, trainer.num_nodes))
    if data.micro_batch is not None:
        accumulate = accumulated_batches(data.batch_size, processes, data.micro_batch)
        if trainer.accumulate_grad_batches not in (1, accumulate):
            raise ConfigError(
                f"data.micro_batch={data.micro_batch} on {processes} processes means {accumulate} accumulated batches: leave "
                f"trainer.accumulate_grad_batches={trainer.accumulate_grad_batches} out"
            )
        trainer.accumulate_grad_batches = accumulate
    images_per_micro_batch(data.batch_size, processes, trainer.accumulate_grad_batches)
    return processes


def count_classes(config: DictConfig) -> None:
    """Sets data.num_classes to the number of the data's classes, 0 for images without labels. One that is given stays.

    Args:
        config: Of a training, in which nothing is missing.

    Raises:
        ConfigError: The data cannot be opened.
    """
    data = config.get("data")
    if not isinstance(data, DictConfig) or "num_classes" not in data or data.num_classes is not None:
        return
    try:
        data.num_classes = _counted(dumps(plain(data.dataset)))
    except (ValueError, OSError, ImportError) as error:
        raise ConfigError(
            f"data.dataset: {' '.join(str(error).split())} (the classes are counted from the data unless data.num_classes=... is given)"
        ) from error


@cache
def _counted(node: str) -> int:
    """Of the data set that a node describes."""
    return int(build(parse_json(node, "data.dataset")).num_classes)
