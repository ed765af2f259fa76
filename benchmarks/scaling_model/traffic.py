"""What processes send each other in a step.

Bandwidth-optimal algorithms move (n - 1) / n of the bytes for an all-gather or a reduce-scatter, and twice that for an all-reduce, which is
one after the other (Patarasuk and Yuan 2009; Thakur et al. 2005).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from benchmarks.scaling_model.cluster import Cluster


@dataclass(frozen=True)
class Traffic(ABC):
    """Equal collective operations of a step.

    Attributes:
        bytes: Of all of them together, before they are divided among processes.
        calls: In how many operations.
        window: Seconds of computation are there to hide behind, in units of one micro-batch's computation.
    """

    bytes: float
    calls: int
    window: float

    @abstractmethod
    def sent(self, n: int) -> float:
        """Bytes that each of n processes sends."""

    @abstractmethod
    def latency(self, cluster: Cluster, n: int) -> float:
        """Seconds of one operation without content."""

    def seconds(self, cluster: Cluster, n: int) -> float:
        return self.sent(n) / cluster.bandwidth(n) + self.calls * self.latency(cluster, n)

    def exposed(self, cluster: Cluster, n: int, micro_batch: float) -> float:
        """Seconds that are not hidden behind computation, of which a micro-batch takes so many."""
        return max(0.0, self.seconds(cluster, n) - cluster.overlap * self.window * micro_batch)


class AllReduce(Traffic):
    """Everybody has the sum: 2 (n - 1) / n of the bytes; latency of a tree up and down, as NCCL's double trees have it."""

    def sent(self, n: int) -> float:
        return 2 * (n - 1) / n * self.bytes

    def latency(self, cluster: Cluster, n: int) -> float:
        return 2 * cluster.tree_latency(n)


class Gather(Traffic):
    """An all-gather or a reduce-scatter: (n - 1) / n of the bytes; latency of a ring, NCCL's algorithm for both."""

    def sent(self, n: int) -> float:
        return (n - 1) / n * self.bytes

    def latency(self, cluster: Cluster, n: int) -> float:
        return cluster.ring_latency(n)
