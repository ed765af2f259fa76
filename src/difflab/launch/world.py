"""How many processes a run has, and what they have to know of each other before Lightning connects them."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

import torch
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]


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
    store = TCPStore(
        os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=timedelta(minutes=5)
    )
    key = f"difflab/{os.environ['TORCHELASTIC_RUN_ID']}/{topic}"
    if os.environ["RANK"] == "0" and not store.check([key]):
        store.set(key, choose())
    return store.get(key).decode()


def _devices_of_a_node(accelerator: str, devices: object) -> int:
    gpus = torch.cuda.device_count() if accelerator in ("auto", "gpu", "cuda") else 0
    if devices in ("auto", -1, "-1"):
        return max(1, gpus)
    if isinstance(devices, str) and not devices.isdigit():
        return len([part for part in devices.split(",") if part.strip()])  # "0,2": these GPUs
    if isinstance(devices, int | str):
        return int(devices)
    return len(list(devices))  # type: ignore[call-overload]
