"""How many processes a command has, and how they are started and connected."""

from __future__ import annotations

import atexit
import os
from datetime import timedelta

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from difflab.distributed.meeting import meeting
from difflab.distributed.placement import ALONE, Placement, placement, started_shape
from difflab.runtime.process import SLACK, keep_freed_memory
from difflab.runtime.signals import KEEPING, signals


def process_count(accelerator: str, devices: object, num_nodes: int) -> int:
    """The processes that Lightning will make of `trainer.accelerator`, `trainer.devices` and `trainer.num_nodes`."""
    return _devices_of_a_node(accelerator, devices) * num_nodes


def connect(accelerator: str, timeout: timedelta) -> None:
    """The process group of what torchrun or srun has started, before Lightning would make it.

    It meets where the processes have met already. torchrun keeps one store for all attempts, so a process that is started in place of a
    dead one may find the dead one's address in it and fail with "connection refused": each attempt has a part of the store of its own.
    """
    place = placement()
    if place == ALONE or dist.is_initialized():
        return
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(place.local_rank)
    store = meeting().store("training")
    timeout += SLACK
    store.set_timeout(timeout)
    dist.init_process_group(
        "nccl" if on_gpu else "gloo", store=store, rank=place.rank, world_size=place.size, timeout=timeout
    )
    if on_gpu:
        atexit.register(dist.destroy_process_group)


def environment() -> list[ClusterEnvironment]:
    """What tells Lightning which process this is, where it would not find out by itself.

    Lightning goes by the SLURM job: it does not connect what srun has started where the job's name is bash or interactive, and waits for
    processes that nobody has started where a job has several tasks and srun was not used.
    """
    place = placement()
    if place.started_by == "srun":
        return [StepOfSlurm(place)]
    if "SLURM_NTASKS" in os.environ and not place.started_by:
        return [LightningEnvironment()]
    return []


class StepOfSlurm(LightningEnvironment):
    """The processes that one srun has started."""

    def __init__(self, place: Placement):
        super().__init__()
        self.place = place

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self.place.address

    @property
    def main_port(self) -> int:
        return self.place.port

    def world_size(self) -> int:
        return self.place.size

    def set_world_size(self, size: int) -> None:
        """It is what srun says."""

    def global_rank(self) -> int:
        return self.place.rank

    def set_global_rank(self, rank: int) -> None:
        """It is what srun says."""

    def local_rank(self) -> int:
        return self.place.local_rank

    def node_rank(self) -> int:
        return int(os.environ.get("SLURM_NODEID", "0"))

    def teardown(self) -> None:
        """Nothing of the environment was changed."""


def _devices_of_a_node(accelerator: str, devices: object) -> int:
    gpus = torch.cuda.device_count() if accelerator in ("auto", "gpu", "cuda") else 0
    if devices in ("auto", -1, "-1"):
        return max(1, gpus)
    if isinstance(devices, str) and not devices.isdigit():
        return len([part for part in devices.split(",") if part.strip()])  # "0,2": these GPUs
    if isinstance(devices, int | str):
        return int(devices)
    return len(list(devices))  # type: ignore[call-overload]


TIMEOUT = timedelta(hours=12)
"""How long processes wait for each other: the first may compute metrics for long. A process that dies is noticed at once."""


class Processes:
    """Lightning's Fabric, without the model: one process stays without a process group.

    Args:
        accelerator: Cpu, gpu or auto.
        devices: Processes on each node; None for as many as torchrun or srun have started, else one.
        num_nodes: None for as many as they have started them on.
        threads: Of each process on a CPU. Sums over other numbers of threads differ in their last bits.
    """

    def __init__(self, accelerator: str, devices: int | None, num_nodes: int | None, threads: int):
        for name, value in (("devices", devices), ("num_nodes", num_nodes), ("threads", threads)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name}={value} must be a number, at least 1")
        started, on_nodes = started_shape() or (1, 1)
        devices, num_nodes = devices or started, num_nodes or on_nodes
        strategy = DDPStrategy(timeout=TIMEOUT) if devices * num_nodes > 1 else "auto"
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
        connect(self._accelerator, TIMEOUT)
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
