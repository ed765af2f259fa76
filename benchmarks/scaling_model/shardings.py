"""The strategies of `strategy=` as they are implemented (torch 2.14, DeepSpeed 0.19).

P float32 weights, n processes; a backward pass is two thirds of a micro-batch's computation:

            sent per step                             in the papers
    DDP     2 (n-1)/n P                               the same
    ZeRO-1  2 + 1                                     2: reduce-scatter, all-gather (arXiv 1910.02054, section 7)
    ZeRO-2  2 per micro-batch + 1                     2: DeepSpeed's default all-reduces buckets that several processes own
    ZeRO-3  3 per micro-batch                         3
    FSDP    3 per micro-batch                         3
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.scaling_model.sharding import FLOAT, MOMENTS, Memory, Sharding
from benchmarks.scaling_model.traffic import AllReduce, Gather, Traffic
from difflab.studies.planning.counting import Workload

FORWARD, BACKWARD = 1 / 3, 2 / 3
_DDP_BUCKET = 25 * 2**20
"""Bytes, torch's bucket_cap_mb."""
_ZERO_BUCKET = 500_000_000
"""Weights, DeepSpeed's reduce_bucket_size and allgather_bucket_size."""
_PREFETCHED = 2
"""Blocks whose weights are whole at a time: the one that computes and the next."""


class DDP(Sharding):
    """Everything everywhere; buckets of gradients are all-reduced during the last backward pass."""

    def memory(self, work: Workload, n: int, images: float) -> Memory:
        whole = FLOAT * work.parameters
        buckets = whole if n > 1 else 0.0  # torch's gradient_as_bucket_view is off
        return Memory(
            whole, whole, MOMENTS * whole, work.averages * whole, buckets, 0.0, work.activation_bytes * images
        )

    def traffic(self, work: Workload, micro_batches: int) -> Sequence[Traffic]:
        whole = FLOAT * work.parameters
        return [AllReduce(whole, math.ceil(whole / _DDP_BUCKET), BACKWARD)]

    def updated(self, n: int) -> float:
        return 1.0

    def averaged(self, n: int) -> float:
        return 1.0


class ZeRO1(Sharding):
    """Optimizer state divided. Nothing overlaps: DeepSpeed's overlap_comm is off for stages 1 and 2."""

    def memory(self, work: Workload, n: int, images: float) -> Memory:
        whole = FLOAT * work.parameters
        return Memory(
            whole, whole, MOMENTS * whole / n, work.averages * whole, whole / n, 0.0, work.activation_bytes * images
        )

    def traffic(self, work: Workload, micro_batches: int) -> Sequence[Traffic]:
        whole, calls = FLOAT * work.parameters, math.ceil(work.parameters / _ZERO_BUCKET)
        return [AllReduce(whole, calls, 0.0), Gather(whole, calls, 0.0)]

    def updated(self, n: int) -> float:
        return 1 / n

    def averaged(self, n: int) -> float:
        return 1.0


class ZeRO2(Sharding):
    """Gradients too: each micro-batch's are reduced at once, since nobody has room for all of them."""

    def memory(self, work: Workload, n: int, images: float) -> Memory:
        whole = FLOAT * work.parameters
        bucket = FLOAT * min(work.parameters, _ZERO_BUCKET)
        return Memory(
            whole,
            whole / n,
            MOMENTS * whole / n,
            work.averages * whole,
            whole / n,
            bucket,
            work.activation_bytes * images,
        )

    def traffic(self, work: Workload, micro_batches: int) -> Sequence[Traffic]:
        whole, calls = FLOAT * work.parameters, math.ceil(work.parameters / _ZERO_BUCKET)
        return [AllReduce(micro_batches * whole, micro_batches * calls, 0.0), Gather(whole, calls, 0.0)]

    def updated(self, n: int) -> float:
        return 1 / n

    def averaged(self, n: int) -> float:
        return 1.0


class FSDP(Sharding):
    """Weights too: a block's come together for the forward and again for the backward pass, after which its gradients are scattered."""

    def memory(self, work: Workload, n: int, images: float) -> Memory:
        share = FLOAT * work.parameters / n
        gathered = _PREFETCHED * FLOAT * work.largest_block if n > 1 else 0.0
        return Memory(
            share, share, MOMENTS * share, work.averages * share, 0.0, gathered, work.activation_bytes * images
        )

    def traffic(self, work: Workload, micro_batches: int) -> Sequence[Traffic]:
        return _by_block(work, micro_batches)

    def updated(self, n: int) -> float:
        return 1 / n

    def averaged(self, n: int) -> float:
        return 1 / n


class ZeRO3(Sharding):
    """As FSDP, with flat copies of the shares for the optimizer."""

    def memory(self, work: Workload, n: int, images: float) -> Memory:
        share = FLOAT * work.parameters / n
        gathered = _PREFETCHED * FLOAT * work.largest_block if n > 1 else 0.0
        return Memory(
            share, share, MOMENTS * share, work.averages * share, share, gathered, work.activation_bytes * images
        )

    def traffic(self, work: Workload, micro_batches: int) -> Sequence[Traffic]:
        return _by_block(work, micro_batches)

    def updated(self, n: int) -> float:
        return 1 / n

    def averaged(self, n: int) -> float:
        return 1 / n


def _by_block(work: Workload, micro_batches: int) -> Sequence[Traffic]:
    whole, calls = FLOAT * work.parameters * micro_batches, work.blocks * micro_batches
    return [Gather(whole, calls, micro_batches * FORWARD), Gather(2 * whole, 2 * calls, micro_batches * BACKWARD)]
