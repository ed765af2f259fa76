"""Layers of the networks against their formulas."""

import math

import pytest
import torch
from torch import nn

from difflab.networks.layers import (
    AdaptiveGroupNorm,
    AdditiveGroupNorm,
    GroupNorm,
    LabelEmbedding,
    NullableLabelEmbedding,
)
from difflab.networks.layers.attention import Pointwise
from difflab.networks.layers.embeddings import TimeEmbedding, sinusoids
from difflab.networks.layers.norms import group_count
from difflab.networks.layers.resample import DoublingConv2d, double
from difflab.types import NULL_LABEL, Condition, Label


def test_published_widths_have_32_groups_and_small_ones_no_group_of_one():
    published = [w * m for w in (32, 64, 128, 160, 192, 256) for m in (1, 2, 3, 4)]
    assert {group_count(channels) for channels in published} == {32}
    for channels in set(range(4, 200)) - set(range(32, 200, 32)):
        groups = group_count(channels)
        assert channels % groups == 0
        assert channels // groups >= 4
    assert [group_count(channels) for channels in (1, 3, 8, 16, 48, 33)] == [1, 1, 2, 4, 12, 3]


def test_group_norm_is_torchs_and_wide_for_half_precision():
    ours, theirs = GroupNorm(64), nn.GroupNorm(32, 64)
    nn.init.normal_(ours.weight)
    theirs.load_state_dict(ours.state_dict())
    h = 100 + torch.randn(2, 64, 4, 4)
    torch.testing.assert_close(ours(h), theirs(h))
    half = ours.bfloat16()(h.bfloat16())
    assert half.dtype == torch.float32
    exact = nn.functional.group_norm(h.bfloat16().float(), 32, ours.weight.float(), ours.bias.float())
    torch.testing.assert_close(half, exact)
    assert ours.double()(h.double()).dtype == torch.float64


def test_adaptive_and_additive_norm():
    h, emb = torch.randn(2, 8, 3, 3), torch.randn(2, 5)
    adaptive = AdaptiveGroupNorm(8, 5)
    y_s, y_b = adaptive.linear(emb)[:, :, None, None].split(8, dim=1)
    torch.testing.assert_close(adaptive(h, emb), (1 + y_s) * adaptive.norm(h) + y_b)
    additive = AdditiveGroupNorm(8, 5)
    torch.testing.assert_close(additive(h, emb), additive.norm(h + additive.linear(emb)[:, :, None, None]))


@pytest.mark.parametrize("dim", [6, 7])
def test_sinusoids(dim):
    time = torch.tensor([0.0, 37.5, 999.0], dtype=torch.float64)
    frequencies = [10_000 ** (-k / 3) for k in range(3)]
    expected = [
        [f(t * w) for f in (math.cos, math.sin) for w in frequencies] + [0.0] * (dim - 6) for t in time.tolist()
    ]
    torch.testing.assert_close(sinusoids(time, dim), torch.tensor(expected), atol=1e-4, rtol=0)


def test_times_stay_apart_in_half_precision():
    embedding = TimeEmbedding(32, 8).bfloat16()
    out = embedding(torch.tensor([998.0, 999.0], dtype=torch.float64))
    assert out.dtype == torch.bfloat16
    assert not torch.equal(out[0], out[1])


def test_strict_label_embedding_wants_a_class_for_every_example():
    embedding = LabelEmbedding(3, 4)
    label = torch.tensor([2, 0])
    assert torch.equal(embedding(Condition(label=Label(label))), embedding.weight[label])
    with pytest.raises(ValueError, match="the condition has none"):
        embedding(Condition())
    for wrong in (NULL_LABEL, 3):
        with pytest.raises(ValueError, match=r"labels must be 0 \.\. 2.*NullableLabelEmbedding"):
            embedding(Condition(label=Label(torch.tensor([0, wrong]))))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 5), (4, 4)])
def test_a_doubling_convolution_is_the_convolution_of_the_doubled_image(height, width):
    layer = DoublingConv2d(3, 5).double()
    h = torch.randn(2, 3, height, width, dtype=torch.float64, requires_grad=True)
    expected = nn.functional.conv2d(double(h), layer.weight, layer.bias, padding=1)
    towards = torch.randn_like(expected)
    inputs = (h, layer.weight, layer.bias)
    torch.testing.assert_close(layer(h), expected, rtol=0, atol=1e-12)
    theirs = torch.autograd.grad(expected, inputs, towards)
    for found, gradient in zip(torch.autograd.grad(layer(h), inputs, towards), theirs, strict=True):
        torch.testing.assert_close(found, gradient, rtol=0, atol=1e-12)
    assert [*layer.state_dict()] == ["weight", "bias"]
    assert layer.weight.shape == (5, 3, 3, 3)


def test_a_doubling_convolution_in_half_precision_has_the_weights_that_any_has():
    """Added up in float32 and rounded afterwards they would be others than those of a network that doubles first."""
    layer, h = DoublingConv2d(3, 5), torch.randn(2, 3, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = layer(h), nn.functional.conv2d(double(h), layer.weight, layer.bias, padding=1)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected)


def test_a_pointwise_map_is_a_linear_one_of_every_pixel():
    layer, h = Pointwise(3, 5), torch.randn(2, 3, 4, 6)
    expected = nn.functional.linear(h.permute(0, 2, 3, 1), layer.weight, layer.bias).permute(0, 3, 1, 2)
    torch.testing.assert_close(layer(h), expected)
    assert layer.weight.shape == (5, 3)


@pytest.mark.parametrize("shape", [(2, 64, 32, 32), (3, 12, 40, 33), (1, 6, 64, 64)])
def test_group_norm_of_large_channels_last_images_has_torchs_gradients(shape):
    """Far from zero, where sums cancel."""
    norm = GroupNorm(shape[1]).double()
    nn.init.normal_(norm.weight)
    h = (3 + torch.randn(shape, dtype=torch.float64)).contiguous(memory_format=torch.channels_last).requires_grad_()
    towards = torch.randn_like(h).contiguous()  # of another format than the image
    inputs = (h, norm.weight, norm.bias)
    out = norm(h)
    assert "InChannelsLast" in type(out.grad_fn).__name__
    expected = nn.functional.group_norm(h, norm.groups, norm.weight, norm.bias, norm.eps)
    torch.testing.assert_close(out, expected)
    theirs = torch.autograd.grad(expected, inputs, towards)
    for found, gradient in zip(torch.autograd.grad(out, inputs, towards), theirs, strict=True):
        torch.testing.assert_close(found, gradient, rtol=1e-10, atol=1e-10)


def test_the_gradient_of_that_gradient_is_torchs_too():
    norm = GroupNorm(8).double()
    nn.init.normal_(norm.weight)
    h = torch.randn(1, 8, 32, 32, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()

    def of_gradient(out):
        (gradient,) = torch.autograd.grad(out.square().sum(), h, create_graph=True)
        return torch.autograd.grad(gradient.pow(3).sum(), (h, norm.weight))

    theirs = of_gradient(nn.functional.group_norm(h, norm.groups, norm.weight, norm.bias, norm.eps))
    for found, expected in zip(of_gradient(norm(h)), theirs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_a_class_that_is_none_is_not_taken_for_the_null_vector():
    embedding = NullableLabelEmbedding(3, 4)
    assert torch.equal(embedding(Condition(label=Label(torch.tensor([-1]))))[0], embedding.weight[3])
    for wrong in (3, -2):
        with pytest.raises(ValueError, match=r"labels must be 0 .. 2, got"):
            embedding(Condition(label=Label(torch.tensor([0, wrong]))))
