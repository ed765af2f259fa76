"""The model on paper in the limits where its answers are known, and its counts against sums by hand."""

import math
from dataclasses import replace

import pytest
import torch
from benchmarks.scaling_model import DDP, FSDP, Cluster, ZeRO1, ZeRO2, ZeRO3, predict
from torch import nn

from difflab.networks import Network
from difflab.studies.planning import Workload
from difflab.studies.planning.counting import counted
from difflab.training.sharding.fsdp import repeated_blocks
from difflab.types import Condition

SHARDINGS = [DDP(), ZeRO1(), ZeRO2(), ZeRO3(), FSDP()]
WORK = Workload(
    parameters=10**8, training_flops=6e12, activation_bytes=1e9, operations=1000, blocks=20, largest_block=10**7
)
CLUSTER = Cluster(
    rate=1e14,
    memory_rate=2e12,
    memory=80e9,
    per_node=8,
    inside=3e11,
    between=4e10,
    inside_latency=1e-6,
    between_latency=1e-5,
    overlap=0.5,
    jitter=0.02,
)
IDEAL = replace(CLUSTER, inside=math.inf, between=math.inf, inside_latency=0.0, between_latency=0.0, jitter=0.0)
by_name = pytest.mark.parametrize("sharding", SHARDINGS, ids=lambda s: type(s).__name__)


@by_name
def test_one_process_loses_nothing(sharding):
    one = predict(WORK, CLUSTER, sharding, 1, 32)
    assert one.exposed == one.communication == one.waiting == 0
    assert one.efficiency(predict(WORK, CLUSTER, DDP(), 1, 32)) == pytest.approx(1)
    assert one.compute == pytest.approx(32 * 6e12 / 1e14)
    assert one.update == pytest.approx(4e8 * (7 + 3) / 2e12)


@by_name
@pytest.mark.parametrize("n", [2, 8, 64, 1024])
def test_free_communication_costs_nothing(sharding, n):
    one = predict(WORK, IDEAL, sharding, 1, 4)
    many = predict(WORK, IDEAL, sharding, n, 4 * n)
    assert many.exposed == 0
    assert many.step <= one.step
    if isinstance(sharding, DDP):
        assert many.efficiency(one) == pytest.approx(1)


@pytest.mark.parametrize(
    ("sharding", "once", "each"),
    [(DDP(), 2, 0), (ZeRO1(), 3, 0), (ZeRO2(), 1, 2), (ZeRO3(), 0, 3), (FSDP(), 0, 3)],
    ids=lambda value: type(value).__name__ if not isinstance(value, int) else str(value),
)
@pytest.mark.parametrize("micro_batches", [1, 4])
@pytest.mark.parametrize("n", [1, 2, 3, 512])
def test_bytes_sent(sharding, once, each, micro_batches, n):
    sent = sum(traffic.sent(n) for traffic in sharding.traffic(WORK, micro_batches))
    assert sent == pytest.approx((once + each * micro_batches) * (n - 1) / n * 4e8)


def test_bytes_held():
    """16 bytes a weight with Adam in float32, 4 more of an average: what is divided, by n; and what does not fit together is larger."""
    n, floats = 8, 4e8
    held = {type(s).__name__: s.memory(WORK, n, 0) for s in SHARDINGS}
    assert held["DDP"].state == pytest.approx(floats * (1 + 1 + 2 + 1 + 1))
    assert held["ZeRO1"].state == pytest.approx(floats * (1 + 1 + 1 + (2 + 1) / n))
    assert held["ZeRO2"].state == pytest.approx(floats * (1 + 1 + (1 + 2 + 1) / n))
    assert held["ZeRO3"].state == pytest.approx(floats * (1 + 1 + 2 + 1 + 1) / n)
    assert held["FSDP"].state == pytest.approx(floats * (1 + 1 + 2 + 1) / n)
    totals = [held[name].state for name in ("DDP", "ZeRO1", "ZeRO2", "ZeRO3", "FSDP")]
    assert totals == sorted(totals, reverse=True)
    assert DDP().memory(WORK, 1, 3).total == pytest.approx(5 * floats + 3e9), "alone: no buckets"


def test_a_ring_is_as_fast_as_its_slowest_link():
    assert CLUSTER.bandwidth(8) == 3e11
    assert CLUSTER.bandwidth(16) == 3e11, "eight cards of 40 GB/s carry more than a link inside"
    assert replace(CLUSTER, between=1e9).bandwidth(16) == 8e9
    assert replace(CLUSTER, per_node=1).bandwidth(2) == 4e10


def test_messages_on_the_way():
    assert CLUSTER.ring_latency(1) == CLUSTER.tree_latency(1) == 0
    assert CLUSTER.ring_latency(8) == pytest.approx(7e-6)
    assert CLUSTER.ring_latency(32) == pytest.approx(28e-6 + 3e-5)
    assert CLUSTER.tree_latency(32) == pytest.approx(3e-6 + 2e-5)


def test_a_step_by_hand():
    """Two nodes of one process, no overlap: compute + 2 * 1/2 * 400 MB / 40 GB/s + 16 buckets * 2 * 10 us."""
    cluster = replace(CLUSTER, per_node=1, overlap=0.0, jitter=0.0)
    found = predict(WORK, cluster, DDP(), 2, 2)
    assert found.exposed == found.communication == pytest.approx(0.01 + 16 * 2e-5)
    assert found.step == pytest.approx(0.06 + 0.002 + 0.01032)
    hidden = predict(WORK, replace(cluster, overlap=0.1), DDP(), 2, 2)
    assert hidden.exposed == pytest.approx(0.01032 - 0.1 * 0.04)
    assert hidden.communication == found.communication


def test_the_slowest_is_waited_for():
    """The mean of the largest of n Gaussians stays below sqrt(2 ln n) and comes near it."""
    torch.manual_seed(0)
    largest = torch.randn(2000, 1024).amax(1).mean().item()
    expected = (CLUSTER.slowest(1024) - 1) / CLUSTER.jitter
    assert 0.8 * expected < largest < expected


@by_name
def test_monotone(sharding):
    def step(cluster=CLUSTER, n=64, batch=256, work=WORK):
        return predict(work, cluster, sharding, n, batch).step

    slow = replace(CLUSTER, overlap=0.0)
    assert step(slow) >= step()
    assert step(replace(slow, between=1e9)) > step(slow)
    assert step(replace(slow, between_latency=1e-3)) > step(slow)
    assert step(replace(CLUSTER, rate=1e13)) > step()
    assert step(replace(CLUSTER, dispatch=1e-3)) > step(), "a small batch waits for the host"
    assert step(batch=512) > step()
    weak = [predict(WORK, slow, sharding, n, 4 * n) for n in (8, 16, 64, 512)]
    rates = [one.images_per_second for one in weak]
    assert rates == sorted(rates)
    efficiencies = [one.efficiency(predict(WORK, slow, DDP(), 1, 4)) for one in weak]
    if isinstance(sharding, DDP):
        assert efficiencies == sorted(efficiencies, reverse=True)
    sizes = [one.memory.total for one in weak]
    assert sizes == sorted(sizes, reverse=True)


def test_accumulation_divides_what_is_kept_and_not_what_is_computed():
    whole, parts = predict(WORK, CLUSTER, DDP(), 8, 256), predict(WORK, CLUSTER, DDP(), 8, 256, 8)
    assert parts.micro_batches == 4
    assert parts.compute == pytest.approx(whole.compute)
    assert parts.memory.activations == pytest.approx(whole.memory.activations / 4)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="10 images cannot be divided among 4"):
        predict(WORK, CLUSTER, DDP(), 4, 10)
    with pytest.raises(ValueError, match="overlap"):
        replace(CLUSTER, overlap=2)
    with pytest.raises(ValueError, match="inside"):
        replace(CLUSTER, inside=0)


class Layers(Network):
    """Convolutions whose costs can be summed by hand."""

    def __init__(self):
        super().__init__()
        self.in_channels = self.out_channels = 4
        self.image_size = 8
        self.layers = nn.ModuleList([nn.Conv2d(4, 4, 3, padding=1, bias=False) for _ in range(2)])
        self.last = nn.Conv2d(4, 4, 1)

    def forward(self, x, time, cond):
        for layer in self.layers:
            x = layer(x)
        return self.last(x)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_counts(device):
    with torch.device(device):
        network = Layers()
    work = counted(network, Condition(), repeated_blocks(network), averages=2)
    forward = 2 * 64 * (2 * 4 * 4 * 9 + 4 * 4)
    input_gradient = 2 * 64 * 4 * 4 * 9  # which nobody asks for
    assert work.training_flops == 3 * forward - input_gradient
    assert work.parameters == 2 * 144 + 20
    assert (work.blocks, work.largest_block) == (3, 144)
    assert work.activation_bytes == 3 * 4 * 64 * 4, "the input of each layer in float32"
    assert work.averages == 2
