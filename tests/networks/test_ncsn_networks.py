"""The networks of NCSN beside what they are made of: norms, levels, conditions, sizes."""

import pytest
import torch

from difflab.networks import NCSN, NCSNv2
from difflab.networks.layers import AdaptiveInstanceNorm, NullableLabelEmbedding
from difflab.networks.layers.instance_norms import instance_normalised
from difflab.types import Condition, Label

LABEL = {"label": lambda dim: NullableLabelEmbedding(10, dim)}
SMALL = {"width": 8, "channel_mult": (1, 2, 2), "dilated": 1}


def shaken(network):
    """No weight is zero."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return network.double()


def test_a_norm_forgets_each_channels_mean_and_brings_it_back_among_the_others():
    h = torch.randn(2, 5, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3 + 1
    one, zero = torch.ones(1, 5).double(), torch.zeros(1, 5).double()
    plain = instance_normalised(h, one, zero, zero)
    torch.testing.assert_close(plain, torch.nn.functional.instance_norm(h))
    brought = instance_normalised(h, one, 2 * one, zero) - plain
    means = h.mean((2, 3))
    among = (means - means.mean(1, keepdim=True)) / (means.var(1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(brought, (2 * among)[:, :, None, None].expand_as(h))
    torch.testing.assert_close(instance_normalised(h, 3 * one, zero, 2 * one), 3 * plain + 2)


def test_in_half_precision_sums_are_kept_in_single():
    h = torch.randn(2, 8, 16, 16, generator=torch.Generator().manual_seed(0)) + 40
    norm = AdaptiveInstanceNorm(8, 4)
    emb = torch.randn(2, 4, generator=torch.Generator().manual_seed(1))
    low = norm.to(torch.bfloat16)(h.bfloat16(), emb.bfloat16())
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(
        low.float(), norm.float()(h.bfloat16().float(), emb.bfloat16().float()), rtol=0, atol=0.1
    )


def test_ncsn_knows_the_level_and_ncsnv2_does_not():
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    told, untold = shaken(NCSN(8, 1, 1, {}, levels=5, **SMALL)), shaken(NCSNv2(8, 1, 1, {}, **SMALL))
    low, high = torch.zeros(2).double(), torch.full((2,), 4.0).double()
    assert (told(x, low, Condition()) - told(x, high, Condition())).abs().max() > 0.01
    assert torch.equal(untold(x, low, Condition()), untold(x, high, Condition()))
    # a time between two levels, or beyond them, is that of the nearest
    assert torch.equal(told(x, high + 0.7, Condition()), told(x, high - 0.3, Condition()))
    alone = told(x[1:], low[1:], Condition())
    torch.testing.assert_close(told(x, low, Condition())[1:], alone)


@pytest.mark.parametrize("kind", [NCSN, NCSNv2])
def test_a_class_begins_without_a_say_and_then_moves_every_norm(kind):
    network, x = kind(8, 1, 1, LABEL, **SMALL), torch.randn(2, 1, 8, 8)
    some, other = (Condition(label=Label(torch.tensor(classes))) for classes in ([1, 2], [3, -1]))
    time = torch.zeros(2).double()
    assert torch.equal(network(x, time, some), network(x, time, other))
    network, x = shaken(network), x.double()
    assert (network(x, time, some) - network(x, time, other)).abs().flatten(1).amax(1).min() > 0.01


def test_recomputation_changes_no_gradient_of_a_rectangle_of_odd_sides():
    x, gradients = torch.randn(1, 2, 5, 7, generator=torch.Generator().manual_seed(0)), []
    for recomputed in (False, True):
        network = shaken(NCSN((5, 7), 2, 4, {}, levels=3, gradient_checkpointing=recomputed, **SMALL)).float()
        out = network(x, torch.ones(1).double(), Condition())
        assert out.shape == (1, 4, 5, 7)
        out.square().sum().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    assert all(map(torch.equal, *gradients))


@pytest.mark.parametrize(("mult", "dilated"), [((1,), 2), ((1, 2), 0), ((2, 1, 3), 1)])
def test_a_cascade_of_any_stages(mult, dilated):
    network = NCSNv2(8, 1, 1, {}, width=8, channel_mult=mult, dilated=dilated)
    x = torch.randn(2, 1, 8, 8)
    assert network(x, torch.zeros(2), Condition()).shape == x.shape


@pytest.mark.parametrize(
    ("size", "words", "message"),
    [
        (2, {"dilated": 0}, "an image of 2x2 cannot be halved 2 times: dilate more stages"),
        ((8,), {}, "convolutions over images need two axes"),
        (8, {"width": 0}, "at least one stage, block and channel"),
    ],
)
def test_networks_that_cannot_be_built_are_refused(size, words, message):
    with pytest.raises(ValueError, match=message):
        NCSNv2(size, 1, 1, {}, **{**SMALL, **words})
