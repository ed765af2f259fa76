"""The division of the global batch: processes x accumulated micro-batches x images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig


def divide(config: DictConfig, launched: Callable[[int], int]) -> int:
    """The number of processes. Completes `trainer` by what torchrun says of them and by the accumulation that data.micro_batch means;
    raises a DataError if the batch cannot be divided so.

    launched   the processes that the trainer would start by itself -> those that there will be
    """
    from difflab.cli.check import ConfigError
    from difflab.data.stream import accumulated_batches, images_per_micro_batch
    from difflab.launch.world import process_count, torchrun_shape

    trainer, data = config.trainer, config.data
    try:
        shape = torchrun_shape()
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if shape is not None:
        trainer.devices, trainer.num_nodes = shape
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
