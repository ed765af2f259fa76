"""How many processes a run has, and how they are connected."""

from __future__ import annotations

import atexit
import os
from datetime import timedelta

import torch
import torch.distributed as dist
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from difflab.launch.meeting import meeting
from difflab.launch.placement import ALONE, Placement, placement
from difflab.launch.rank import SLACK


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
