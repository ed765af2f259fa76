"""What the configuration can compute: resolvers, and values that follow from others.

Values of a training that are computed from others: the number of classes, and the split of the global batch into processes x
accumulated micro-batches x images.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, TypedDict

from omegaconf import DictConfig, OmegaConf

from difflab.config.build import build, plain
from difflab.config.groups import ConfigError
from difflab.config.values import Positive, check_values
from difflab.reading import parse_json
from difflab.reading.json import dumps


def add_resolvers() -> None:
    """Makes the resolvers known to OmegaConf.

        ${product:a,b,...}               a * b * ...
        ${largest:a,b,...}               the largest of them
        ${out_channels:c,${variance}}    output channels of a network for images of c channels and a variance
        ${experiment_name:}              the experiment that was chosen, or "default"
        ${python:}                       the interpreter that runs this
        ${oc.env:NAME,default}           a variable of the environment, as in OmegaConf

    A variable that is called a secret is refused: config.yaml, W&B and results.json would hold its value.
    """
    OmegaConf.register_new_resolver("product", lambda *factors: math.prod(factors), replace=True)
    OmegaConf.register_new_resolver("largest", lambda *values: max(values), replace=True)
    OmegaConf.register_new_resolver("out_channels", _out_channels, replace=True)
    OmegaConf.register_new_resolver("experiment_name", _experiment_name, replace=True)
    OmegaConf.register_new_resolver("python", lambda: sys.executable, replace=True)
    OmegaConf.register_new_resolver("oc.env", _environment, replace=True)


def _out_channels(channels: int, variance: Any) -> int:
    from hydra.utils import get_class

    return channels * (1 + get_class(variance["_target_"]).channels)


def _environment(name: str, *default: Any) -> Any:
    from omegaconf.resolvers import oc

    from difflab.runs.provenance import SECRET

    if SECRET.search(name):
        raise ValueError(
            f"oc.env:{name} is called a secret, and a run writes its configuration down (config.yaml, W&B, results.json): leave it in the "
            "environment, where the code that needs it can read it"
        )
    return oc.env(name, *default)


def _experiment_name() -> str:
    from hydra.core.hydra_config import HydraConfig

    chosen = HydraConfig.get().runtime.choices.get("experiment") if HydraConfig.initialized() else None
    return chosen or "default"


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
