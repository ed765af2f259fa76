"""Sums over all processes: right, and how fast.

A ring moves 2 (n - 1) / n of the data through every process: bandwidth = that share * bytes / seconds, comparable between numbers of
processes and with the network's own figure.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from difflab.cluster.doctor.check import Check, Finding, Measured, NotApplicableError, failed, ok, warning
from difflab.distributed.group import Group

SIZES_MB = (1, 64)
SLOW_GB_S = {"gloo": 0.05, "nccl": 2.0}
"""Below this a network is not what it should be: gloo over gigabit Ethernet has 0.1, NCCL over 25 Gbit Ethernet about 3."""
REPEATS = 3


class AllReduce(Check):
    """accelerator   of the trainer: NCCL is examined where every process has a GPU of its own, gloo on CPUs"""

    name = "all-reduce"
    remedy = (
        "the nodes do not reach each other through the network that is chosen: name the interface (launcher.profile's network_interface, "
        "or NCCL_SOCKET_IFNAME and GLOO_SOCKET_IFNAME), look at firewalls, and see NCCL_DEBUG=INFO"
    )

    def __init__(self, accelerator: str):
        self.accelerator = accelerator

    def measure(self, group: Group) -> dict[str, Any]:
        if group.size == 1:
            raise NotApplicableError("one process: try it by torchrun --nproc_per_node 2 -m difflab doctor, or srun")
        own_gpu = self.accelerator != "cpu" and torch.cuda.device_count() >= group.local_size
        device = torch.device("cuda", group.local_rank) if own_gpu else torch.device("cpu")
        backend = "nccl" if own_gpu else "gloo"
        if own_gpu:
            torch.cuda.set_device(device)
        group.barrier("all-reduce")
        dist.init_process_group(
            backend,
            store=group.another_store("all-reduce"),
            rank=group.rank,
            world_size=group.size,
            timeout=timedelta(minutes=30),  # this examination ends earlier
        )
        try:
            trials = {f"{size} MB": all_reduce_once(size * 2**20, device) for size in SIZES_MB}
        finally:
            dist.destroy_process_group()
        return {"backend": backend, "processes": group.size, "trials": trials}

    def judge(self, measured: Sequence[Measured]) -> Finding:
        facts = measured[0].facts
        backend = facts["backend"]
        wrong = [one.who for one in measured if not all(trial["right"] for trial in one.facts["trials"].values())]
        if wrong:
            return failed(
                f"{backend}: wrong sums at {', '.join(wrong)}",
                "hardware or driver: exclude these nodes; for NCCL try NCCL_P2P_DISABLE=1",
            )
        speeds, last = [], 0.0
        for size in facts["trials"]:
            slowest = max(one.facts["trials"][size]["seconds"] for one in measured)
            share = 2 * (facts["processes"] - 1) / facts["processes"]
            last = share * float(size.split()[0]) * 2**20 / slowest / 1e9
            speeds.append(f"{size} in {1000 * slowest:.3g} ms ({last:.3g} GB/s)")
        found = f"{backend}, {facts['processes']} processes: sums right, {', '.join(speeds)}"
        if last < SLOW_GB_S[backend]:
            return warning(
                f"{found}: slow",
                "is this the fast network? Name it by launcher.profile's network_interface; NCCL_DEBUG=INFO shows the choice",
            )
        return ok(found)


def all_reduce_once(size: int, device: torch.device) -> dict[str, Any]:
    """{seconds: the quickest of some, right: whether every element is the sum}; float32 holds these whole numbers exactly."""
    rank, world = dist.get_rank(), dist.get_world_size()
    pattern = torch.arange(size // 4, device=device, dtype=torch.float32) % 1009
    expected = world * pattern + world * (world - 1) / 2
    seconds, right = [], True
    for _ in range(REPEATS):
        values = pattern + rank
        dist.barrier()
        synchronize(device)
        start = time.perf_counter()
        dist.all_reduce(values)
        synchronize(device)
        seconds.append(time.perf_counter() - start)
        right = right and torch.equal(values, expected)
    return {"seconds": min(seconds), "right": right}


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
