"""Curves are of what they say, exponents are those of the values, and memory and operations are counted right."""

import json
import math
from dataclasses import replace

import pytest
import torch
from benchmarks.flops import flops_of
from benchmarks.growth import measure
from benchmarks.growth_curve import exponent, exponent_of, fitted, is_curve, sizes
from benchmarks.growth_training import TINY, TrainingStep
from benchmarks.live_memory import bytes_of, peak_of
from benchmarks.record import Measurement
from benchmarks.settings import Settings
from torch import nn

pytestmark = pytest.mark.long

CPU = torch.device("cpu")
MIB = 2**20


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    settings = Settings(rounds=1, quick=True, device=CPU, scratch=tmp_path_factory.mktemp("growth"))
    return {m.case: m for m in measure(settings)}


def test_every_measurement_is_a_curve(found):
    assert all(is_curve(m) and m.bench == "growth" and m.baseline == sizes(m)[0][1] for m in found.values())
    for part in ("width", "depth", "resolution", "batch", "steps of the schedule"):
        assert f"training step against {part}" in found
    assert {"drawing, 2 steps, against images", "drawing 4 images against steps"} <= found.keys()
    assert {f"{stage} of a study against runs" for stage in ("plan", "status", "table", "report")} <= found.keys()
    json.dumps([m.facts for m in found.values()])


def test_counted_work_grows_as_expected(found):
    def of(case, fact="flops"):
        return exponent_of(found[case], fact).value

    assert of("training step against batch") == pytest.approx(
        1, abs=0.03
    )  # kernels are widened once a step, not once an image
    assert of("training step against width") == pytest.approx(2, abs=0.05)
    assert of("training step against resolution") == pytest.approx(2, abs=0.1)
    assert of("training step against resolution, attention at all pixels") > of("training step against resolution")
    assert of("training step against steps of the schedule") == 0
    assert of("drawing 4 images against steps") == pytest.approx(1)
    assert of("drawing, 2 steps, against images") == pytest.approx(1)


def test_memory_that_must_not_grow_does_not(found):
    assert exponent(found["memory of drawing, 2 steps, against images"]).value == pytest.approx(0, abs=0.01)
    # features lie in files: a further image costs nothing but its part of what is read at a time
    assert exponent(found["memory of a distance of 512 dimensions against images"]).value == pytest.approx(0, abs=0.05)


def test_exponent_of_a_power_law_and_its_error():
    x = [1, 2, 4, 8]
    exact = fitted(x, [3 * value**1.7 for value in x])
    assert exact.value == pytest.approx(1.7)
    assert exact.at_the_end == pytest.approx(1.7)
    assert exact.standard_error == pytest.approx(0, abs=1e-12)
    # by hand: log2 y = 0, 1, 1, 2 over 0, 1, 2, 3 has slope 0.6, residuals -0.1, 0.3, -0.3, 0.1
    bent = fitted(x, [1, 2, 2, 4])
    assert bent.value == pytest.approx(0.6)
    assert bent.standard_error == pytest.approx(math.sqrt(0.2 / 2 / 5))
    assert bent.at_the_end == pytest.approx(1)
    assert fitted([1, 2], [1, 2]).standard_error is None


def test_a_curve_is_read_in_the_order_of_its_sizes():
    facts = {"b": {"x": 2, "flops": 10}, "c": {"x": 4, "flops": 20}, "a": {"x": 1, "flops": 5}}
    curve = Measurement("growth", "case", "s", False, {"b": [4.0], "c": [16.0], "a": [1.0]}, "a", facts)
    assert [name for _, name in sizes(curve)] == ["a", "b", "c"]
    assert exponent(curve).value == pytest.approx(2)
    assert exponent_of(curve, "flops").value == pytest.approx(1)
    assert exponent_of(curve, "parameters") is None
    assert not is_curve(Measurement("training", "case", "s", False, {"a": [1.0], "b": [1.0]}))


def test_live_memory():
    def chained():
        x = torch.zeros(MIB // 4)
        y = x + 1
        z = y * 2
        del x
        return z + 1

    assert peak_of(chained) == 3 * MIB  # x y z, then y z and the result

    def viewed():
        x = torch.zeros(MIB // 4).view(2, -1)
        x.add_(1)
        return torch.ones(MIB // 4)

    assert peak_of(viewed) == 2 * MIB
    weight = torch.zeros(MIB // 4, requires_grad=True)

    def trained(layers):
        h = weight * 1
        for _ in range(layers):
            h = h.sin()
        h.sum().backward()
        weight.grad = None

    # autograd alone holds what every layer came from
    assert peak_of(lambda: trained(9)) - peak_of(lambda: trained(5)) == 4 * MIB
    a, b = torch.zeros(10), torch.zeros(6)
    assert bytes_of([a, a[2:], b]) == 64


def test_a_step_keeps_five_times_its_weights():
    step = TrainingStep(TINY, CPU)
    counts = step.counts()
    one, two = step.mebibytes(), step.mebibytes()
    assert one == two
    # weights, two moments, one average; and at its peak the gradients too
    assert one * MIB > 5 * 4 * counts["parameters"]
    larger = TrainingStep(replace(TINY, batch=4 * TINY.batch), CPU)
    assert larger.counts()["parameters"] == counts["parameters"]
    assert larger.mebibytes() > one


def test_operations_of_attention_are_counted_on_a_cpu():
    q, k, v = (torch.randn(2, 3, 16, 8, requires_grad=True) for _ in range(3))
    product = 2 * 2 * 3 * 16 * 16 * 8
    assert (
        flops_of(lambda: nn.functional.scaled_dot_product_attention(q.detach(), k.detach(), v.detach())) == 2 * product
    )
    trained = flops_of(lambda: nn.functional.scaled_dot_product_attention(q, k, v).sum().backward())
    assert trained == 7 * product
    layer = nn.Linear(8, 4)
    assert flops_of(lambda: layer(torch.zeros(5, 8))) == 2 * 5 * 8 * 4
