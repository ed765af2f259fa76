"""How many processes a run has, and what they have to know of each other before Lightning connects them."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, TCPStore  # pyright: ignore[reportPrivateImportUsage]


def process_count(accelerator: str, devices: object, num_nodes: int) -> int:
    """The processes that Lightning will make of `trainer.accelerator`, `trainer.devices` and `trainer.num_nodes`."""
    return _devices_of_a_node(accelerator, devices) * num_nodes


def torchrun_shape() -> tuple[int, int] | None:
    """(processes on this machine, machines) if torchrun has started this process; None if not."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    world, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    nodes, rest = divmod(world, local)
    if rest:
        raise ValueError(
            f"torchrun has started {world} processes, {local} of them on this machine: every machine needs as many"
        )
    return local, nodes


def agreed_under_torchrun(topic: str, choose: Callable[[], str]) -> str:
    """What process 0 chooses, for all processes that torchrun has started and for those that it starts in place of dead ones."""
    store = _store_of_torchrun()
    key = f"difflab/{os.environ['TORCHELASTIC_RUN_ID']}/{topic}"
    if os.environ["RANK"] == "0" and not store.check([key]):
        store.set(key, choose())
    return store.get(key).decode()


def connect_under_torchrun(accelerator: str) -> None:
    """The process group of what torchrun has started, before Lightning would make it.

    torchrun keeps one store for all attempts, so a process that is started in place of a dead one may find the dead one's address in it
    and fail with "connection refused". Each attempt gets a part of the store of its own.
    """
    if torchrun_shape() is None or dist.is_initialized():
        return
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=PrefixStore(f"difflab/attempt-{os.environ['TORCHELASTIC_RESTART_COUNT']}", _store_of_torchrun()),
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
    )
    if on_gpu:
        atexit.register(dist.destroy_process_group)


def _store_of_torchrun() -> TCPStore:
    return TCPStore(
        os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=timedelta(minutes=5)
    )


def _devices_of_a_node(accelerator: str, devices: object) -> int:
    gpus = torch.cuda.device_count() if accelerator in ("auto", "gpu", "cuda") else 0
    if devices in ("auto", -1, "-1"):
        return max(1, gpus)
    if isinstance(devices, str) and not devices.isdigit():
        return len([part for part in devices.split(",") if part.strip()])  # "0,2": these GPUs
    if isinstance(devices, int | str):
        return int(devices)
    return len(list(devices))  # type: ignore[call-overload]
