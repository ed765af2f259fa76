"""Processes, and what lies between them."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Cluster:
    """Equal processes (GPUs), `per_node` of them on each node.

    Attributes:
        rate: FLOP/s that a process reaches in training: its peak times the share of it that is reached.
        memory_rate: bytes/s from and to its memory.
        memory: Bytes that it has.
        inside: bytes/s that a process sends to others of its node while it receives as many.
        between: The same through its share of the node's network.
        inside_latency: Seconds that a message takes at least, within a node.
        between_latency: The same between nodes.
        dispatch: Seconds in which the host starts one operation: below this no operation is fast (0 on a CPU, where rate says it).
        overlap: Share of the computation behind which communication goes on.
        jitter: Standard deviation of a process's time for a step, as a share of it; the slowest of n is waited for.
    """

    rate: float
    memory_rate: float
    memory: float
    per_node: int
    inside: float
    between: float
    inside_latency: float
    between_latency: float
    dispatch: float = 0.0
    overlap: float = 1.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rate", "memory_rate", "memory", "per_node", "inside", "between"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} of a cluster must be positive, got {getattr(self, name)}")
        if not 0 <= self.overlap <= 1:
            raise ValueError(
                f"overlap is the share of the computation that hides communication, 0 to 1, got {self.overlap}"
            )

    def nodes(self, n: int) -> int:
        return math.ceil(n / self.per_node)

    def bandwidth(self, n: int) -> float:
        """Bytes/s in every link of a ring through n processes.

        As many rings as network cards run side by side, each through every process. A ring leaves a node once, so the node's cards
        together carry what one link inside carries: min(inside, per_node between).
        """
        return self.inside if n <= self.per_node else min(self.inside, self.per_node * self.between)

    def ring_latency(self, n: int) -> float:
        """Once around but for one link: n - 1 messages, of which nodes - 1 go to another node."""
        away = self.nodes(n) - 1
        return (n - 1 - away) * self.inside_latency + away * self.between_latency

    def tree_latency(self, n: int) -> float:
        """From the root of a binary tree to its leaves: first between the nodes, then within them."""
        inside = math.ceil(math.log2(min(n, self.per_node)))
        return inside * self.inside_latency + math.ceil(math.log2(self.nodes(n))) * self.between_latency

    def slowest(self, n: int) -> float:
        """Time of the slowest of n processes over the mean, 1 + jitter sqrt(2 ln n): the growth of a maximum of Gaussians."""
        return 1 + self.jitter * math.sqrt(2 * math.log(n))
