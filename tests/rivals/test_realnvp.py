"""RealNVP: what it makes of noise goes back to that noise, and its log-determinant is that of the Jacobian."""

import math

import pytest
import torch

from difflab.networks.layers import NullableLabelEmbedding
from difflab.networks.network import initialise
from difflab.noise import ImageNoise
from difflab.rivals import Flow, RealNVP
from difflab.types import Condition, Label


def embed(dim: int) -> NullableLabelEmbedding:
    return NullableLabelEmbedding(10, dim)


def labelled(count: int) -> Condition:
    return Condition(label=Label(torch.arange(count) % 10))


def moved_flow(channels: int = 1, size: int = 4, couplings: int = 2) -> Flow:
    """A flow that is far from the identity, with which it begins."""
    flow = Flow(size, channels, {"label": embed}, width=8, couplings=couplings)
    initialise(flow, 0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in flow.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    return flow


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("channels", [1, 3])
def test_forth_and_back_is_the_identity(dtype, tolerance, channels):
    flow, cond = moved_flow(channels).to(dtype), labelled(5)
    z = ImageNoise(0, torch.arange(5)).normal("z", (channels, 4, 4)).to(dtype)
    with torch.no_grad():
        y = flow(z, torch.ones(5), cond)
        back, _ = flow.back(y, cond)
    assert (y - z).abs().max() > 0.5
    assert (back - z).abs().max() < tolerance


def test_log_det_is_that_of_the_jacobian():
    flow, cond = moved_flow().double(), labelled(1)
    y = ImageNoise(0, torch.arange(1)).normal("y", (1, 4, 4))
    jacobian = torch.autograd.functional.jacobian(
        lambda one: flow.back(one.reshape(1, 1, 4, 4), cond)[0].flatten(), y.flatten()
    )
    with torch.no_grad():
        _, log_det = flow.back(y, cond)
    assert abs(float(log_det)) > 0.1
    assert float(log_det) == pytest.approx(float(torch.linalg.slogdet(jacobian).logabsdet), abs=1e-9)


def test_every_number_is_moved_and_the_class_matters():
    flow, noise = moved_flow(), ImageNoise(0, torch.arange(2)).normal("z", (1, 4, 4)).float()
    same = torch.stack([noise[0], noise[0]])
    with torch.no_grad():
        one, other = flow(same, torch.ones(2), labelled(2))
    assert ((one - noise[0]).abs() > 1e-3).all()
    assert (one - other).abs().max() > 1e-3


def test_bits_are_those_of_the_density_of_dequantised_pixels():
    """A flow that is the identity: y is sigmoid of a normal number, cut at its margins, and the bits follow by hand."""
    model = RealNVP(Flow(2, 1, {}, width=4, couplings=1), margin=0.05, levels=4)
    grey = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    noise = ImageNoise(0, torch.arange(1))
    with torch.no_grad():
        found = float(model.bits(2 * grey / 3 - 1, Condition(), noise))
    expected = 0.0
    for level, u in zip(
        grey.flatten().tolist(), noise.uniform("dequantisation", (1, 2, 2)).flatten().tolist(), strict=True
    ):
        p = 0.05 + 0.9 * (level + u) / 4
        z = math.log(p / (1 - p))
        density = math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * 0.9 / (p * (1 - p))
        expected += -math.log2(density / 4) / 4
    assert found == pytest.approx(expected, abs=1e-5)


def test_images_lie_in_the_middle_of_a_level():
    model = RealNVP(Flow(2, 1, {}, width=4, couplings=1), levels=17)
    z = torch.linspace(-4, 4, 32).reshape(8, 1, 2, 2)
    with torch.no_grad():
        x = model(z, torch.ones(8).double(), Condition()).x0
    assert torch.allclose(((x + 1) * 8).round(), (x + 1) * 8, atol=1e-5)
    assert x.min() == -1
    assert x.max() == 1


def test_levels_of_whole_bytes_are_found_again():
    """Of 17 grey levels the data store round(255 v / 16): that is the level v."""
    model = RealNVP(Flow(2, 1, {}, width=4, couplings=1), levels=17)
    stored = torch.tensor([round(255 * v / 16) for v in range(16)]).float().reshape(4, 1, 2, 2) / 127.5 - 1
    exact = torch.arange(16).float().reshape(4, 1, 2, 2) / 8 - 1
    noise = ImageNoise(0, torch.arange(4))
    with torch.no_grad():
        assert torch.allclose(model.bits(stored, Condition(), noise), model.bits(exact, Condition(), noise))
