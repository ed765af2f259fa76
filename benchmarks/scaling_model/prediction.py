"""Time and memory of an optimizer step on n processes.

micro-batch  t = max(FLOPs of its images / rate, operations * dispatch)
step         = (micro_batches * t + update) * slowest(n) + sum over traffic max(0, seconds - overlap * window * t)
update       = bytes that optimizer and averages touch / memory_rate
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks.scaling_model.cluster import Cluster
from benchmarks.scaling_model.sharding import FLOAT, Memory, Sharding
from difflab.studies.planning.counting import Workload

_ADAM_TOUCHES = 7
"""Floats per weight that a fused AdamW reads and writes: weight, gradient and two moments read, all but the gradient written."""
_AVERAGE_TOUCHES = 3


@dataclass(frozen=True)
class Prediction:
    """Seconds of an optimizer step of `batch` images on `processes`, and what a process holds.

    Attributes:
        compute: Forward and backward passes.
        update: Optimizer and averages.
        waiting: For the slowest process.
        communication: If nothing hid it.
        exposed: What is not hidden.
    """

    processes: int
    batch: int
    micro_batches: int
    compute: float
    update: float
    waiting: float
    communication: float
    exposed: float
    memory: Memory

    @property
    def step(self) -> float:
        return self.compute + self.update + self.waiting + self.exposed

    @property
    def images_per_second(self) -> float:
        return self.batch / self.step

    def efficiency(self, one: Prediction) -> float:
        """Images per second and process, as a share of those of one process alone."""
        return self.images_per_second / self.processes / one.images_per_second


def predict(
    work: Workload, cluster: Cluster, sharding: Sharding, processes: int, batch: int, micro_batch: int | None = None
) -> Prediction:
    """batch: images of a step, over all processes; micro_batch: images that a process computes at a time, at most."""
    if processes < 1 or batch % processes:
        raise ValueError(f"a batch of {batch} images cannot be divided among {processes} processes")
    images = batch // processes
    micro_batches = math.ceil(images / (micro_batch or images))
    at_a_time = images / micro_batches
    one = max(work.training_flops * at_a_time / cluster.rate, work.operations * cluster.dispatch)
    compute = micro_batches * one
    touched = (
        sharding.updated(processes) * _ADAM_TOUCHES + sharding.averaged(processes) * work.averages * _AVERAGE_TOUCHES
    )
    update = FLOAT * work.parameters * touched / cluster.memory_rate
    traffic = sharding.traffic(work, micro_batches)
    return Prediction(
        processes,
        batch,
        micro_batches,
        compute,
        update,
        (cluster.slowest(processes) - 1) * (compute + update),
        sum(one_kind.seconds(cluster, processes) for one_kind in traffic),
        sum(one_kind.exposed(cluster, processes, one) for one_kind in traffic),
        sharding.memory(work, processes, at_a_time),
    )
