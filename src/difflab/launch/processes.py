"""The processes of a command that is not training: one, several on this machine, or what torchrun and srun have started."""

from __future__ import annotations

from datetime import timedelta

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from difflab.launch.freed_memory import keep_freed_memory
from difflab.launch.placement import started_shape
from difflab.launch.signals import KEEPING, signals
from difflab.launch.world import connect, environment

PATIENCE = timedelta(hours=12)
"""How long processes wait for each other: the first may compute metrics for long. A process that dies is noticed at once."""


class Processes:
    """Lightning's Fabric, without the model: one process stays without a process group.

    accelerator   cpu, gpu or auto
    devices       processes on each node; None for as many as torchrun or srun have started, else one
    num_nodes     None for as many as they have started them on
    threads       of each process on a CPU. Sums over other numbers of threads differ in their last bits
    """

    def __init__(self, accelerator: str, devices: int | None, num_nodes: int | None, threads: int):
        for name, value in (("devices", devices), ("num_nodes", num_nodes), ("threads", threads)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name}={value} must be a number, at least 1")
        started, on_nodes = started_shape() or (1, 1)
        devices, num_nodes = devices or started, num_nodes or on_nodes
        strategy = DDPStrategy(timeout=PATIENCE) if devices * num_nodes > 1 else "auto"
        try:
            self._fabric = Fabric(
                accelerator=accelerator,
                devices=devices,
                num_nodes=num_nodes,
                strategy=strategy,
                plugins=[*environment()],
            )
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"accelerator={accelerator} devices={devices} num_nodes={num_nodes}: {error}") from error
        self._accelerator = accelerator
        self._threads = threads

    def start(self) -> None:
        """From here on all processes run, each of them this same program."""
        connect(self._accelerator, PATIENCE)
        self._fabric.launch()
        signals.enter(KEEPING)
        if self.device.type == "cpu":
            torch.set_num_threads(self._threads)
            keep_freed_memory()

    @property
    def device(self) -> torch.device:
        return self._fabric.device

    @property
    def rank(self) -> int:
        return self._fabric.global_rank

    def finish(self) -> None:
        """Leaves the group; a process then ends without waiting for others."""
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()
