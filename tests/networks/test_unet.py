"""UNet: the knobs do what they say, and what does not fit is refused. (Parity with OpenAI's numbers: tests/parity.)."""

from functools import partial

import pytest
import torch

from difflab.networks import SuperRes, UNet
from difflab.networks.layers import (
    AdaptiveGroupNorm,
    AdditiveGroupNorm,
    BigGANResample,
    ConvResample,
    HeadCount,
    HeadsFirstAttention,
    HeadWidth,
    NullableLabelEmbedding,
    PoolResample,
    QKVFirstAttention,
)
from difflab.networks.network import BlockCondition
from difflab.types import NULL_LABEL, Condition, GivenImage, Label

TINY = {
    "embedders": {},
    "norm": AdaptiveGroupNorm,
    "resample": ConvResample(),
    "attention": partial(HeadsFirstAttention, heads=HeadCount(2)),
    "width": 8,
    "channel_mult": (1, 2),
    "depth": 1,
    "attention_resolutions": (4,),
}


def tiny(image_size=8, in_channels=3, out_channels=3, **changes):
    """A small network with no parameter at zero, so that every part has a say."""
    torch.manual_seed(0)
    network = UNet(image_size, in_channels, out_channels, **{**TINY, **changes})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def inputs(batch=3, channels=3, size=8):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, channels, size, size, generator=generator)
    return x, torch.linspace(0, 999, batch, dtype=torch.float64), Condition()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"norm": AdditiveGroupNorm, "resample": BigGANResample()},
        {"resample": PoolResample(), "attention": partial(QKVFirstAttention, heads=HeadWidth(4))},
        {
            "width": 12,
            "channel_mult": (1, 1.5, 3),
            "attention_resolutions": (8, 2),
            "depth": 2,
            "residual_scale": 0.5**0.5,
        },
        {"attention_resolutions": ()},
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_parameter_has_a_gradient_and_every_example_is_its_own(changes, channels):
    network = tiny(in_channels=channels, out_channels=2 * channels, **changes).eval()
    x, time, cond = inputs(channels=channels)
    out = network(x, time, cond)
    assert out.shape == (3, 2 * channels, 8, 8)
    alone = torch.cat([network(x[i : i + 1], time[i : i + 1], cond) for i in range(3)])
    torch.testing.assert_close(out, alone, atol=1e-5, rtol=1e-5)
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_a_fresh_network_says_zero_and_its_blocks_add_nothing():
    network = UNet(8, 3, 3, **TINY)
    x, time, cond = inputs()
    assert not network(x, time, cond).any()
    emb = BlockCondition(torch.randn(3, 32))
    for block in (network.trunk.steps[0][0], *network.trunk.middle):
        channels = 8 if block is network.trunk.steps[0][0] else 16
        h = torch.randn(3, channels, 4, 4)
        assert torch.equal(block(h, emb), h)


def test_residual_scale_multiplies_the_sum_of_each_residual_block():
    plain, scaled = tiny(), tiny(residual_scale=0.5)
    h, emb = torch.randn(2, 8, 8, 8), BlockCondition(torch.randn(2, 32))
    block, scaled_block = plain.trunk.steps[0][0], scaled.trunk.steps[0][0]
    torch.testing.assert_close(scaled_block(h, emb), 0.5 * block(h, emb))
    attention, same = plain.trunk.middle[1], scaled.trunk.middle[1]
    wide = torch.randn(2, 16, 4, 4)
    assert torch.equal(attention(wide, emb), same(wide, emb))


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradient_checkpointing_changes_no_gradient(dropout):
    def gradients(gradient_checkpointing):
        network = tiny(dropout=dropout, gradient_checkpointing=gradient_checkpointing).train()
        x, time, cond = inputs()
        x.requires_grad_()
        torch.manual_seed(2)
        loss = network(x, time, cond).square().sum()
        loss.backward()
        return [loss.detach(), x.grad, *(p.grad for p in network.parameters())]

    for plain, recomputed in zip(gradients(False), gradients(True), strict=True):
        torch.testing.assert_close(recomputed, plain, atol=1e-5, rtol=1e-5)


def test_gradient_checkpointing_keeps_fewer_activations():
    def kept(gradient_checkpointing):
        size = 0

        def pack(tensor):
            nonlocal size
            size += tensor.numel()
            return tensor

        network = tiny(gradient_checkpointing=gradient_checkpointing)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            network(*inputs())
        return size

    assert kept(True) < 0.5 * kept(False)


def test_dropout_acts_in_training_only():
    network, arguments = tiny(dropout=0.5), inputs()
    assert not torch.equal(network(*arguments), network(*arguments))
    network.eval()
    assert torch.equal(network(*arguments), network(*arguments))


def test_attention_on_the_way_up_can_be_another():
    network = tiny(up_attention=partial(QKVFirstAttention, heads=HeadWidth(4)))
    attentions = [m for m in network.modules() if isinstance(m, QKVFirstAttention)]
    assert [m.heads for m in attentions] == [4, 4]
    assert network.trunk.middle[1].heads == 2


def test_layouts_of_attention_are_the_same_function_of_permuted_weights():
    x, emb = torch.randn(2, 12, 4, 4), BlockCondition(torch.zeros(2, 1))
    heads_first, qkv_first = (cls(12, HeadCount(3)) for cls in (HeadsFirstAttention, QKVFirstAttention))
    torch.nn.init.normal_(heads_first.out.weight)
    weights = heads_first.state_dict()
    for name in ("qkv.weight", "qkv.bias"):
        weights[name] = weights[name].unflatten(0, (3, 3, 4)).transpose(0, 1).flatten(0, 2)
    qkv_first.load_state_dict(weights)
    torch.testing.assert_close(qkv_first(x, emb), heads_first(x, emb))
    assert not torch.equal(heads_first(x, emb), x)


def test_attention_is_softmax_attention():
    attention = HeadsFirstAttention(8, HeadCount(1))
    torch.nn.init.normal_(attention.out.weight)
    h = torch.randn(2, 8, 3, 5)
    tokens = attention.norm(h).reshape(2, 8, 15)
    q, k, v = (attention.qkv.weight @ tokens + attention.qkv.bias[:, None]).chunk(3, dim=1)
    weights = torch.softmax(q.transpose(1, 2) @ k / 8**0.5, dim=2)
    expected = h + (attention.out.weight @ (v @ weights.transpose(1, 2))).reshape(2, 8, 3, 5)
    torch.testing.assert_close(attention(h, BlockCondition(torch.zeros(2, 1))), expected)


def test_dropped_labels_are_the_null_vector_and_nothing_else():
    network = tiny(embedders={"label": partial(NullableLabelEmbedding, 10)}).eval()
    x, time, _ = inputs(batch=4)
    cond = Condition(label=Label(torch.tensor([3, 9, 0, 3])))
    dropped = cond.drop(torch.tensor([True, False, True, False]))
    out, partly, null = (network(x, time, c) for c in (cond, dropped, cond.null()))
    kept = torch.tensor([False, True, False, True])
    torch.testing.assert_close(partly[kept], out[kept])
    torch.testing.assert_close(partly[~kept], null[~kept])
    assert (out[~kept] - partly[~kept]).abs().amax(dim=(1, 2, 3)).min() > 1e-3
    torch.testing.assert_close(network(x, time, Condition()), null)


def test_only_the_null_vector_learns_from_dropped_examples():
    embedding = NullableLabelEmbedding(5, 4)
    embedding(Condition(label=Label(torch.tensor([NULL_LABEL, 2, NULL_LABEL])))).sum().backward()
    assert embedding.weight.grad[:, 0].tolist() == [0, 0, 1, 0, 0, 2]


def test_half_precision_images_and_weights():
    network = tiny().eval()
    x, time, cond = inputs()
    out = network(x, time, cond)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = network(x, time, cond)
    assert mixed.dtype == torch.float32
    assert (mixed - out).norm() < 0.02 * out.norm()
    halved = network.bfloat16()(x, time, cond)
    assert halved.dtype == torch.float32
    assert (halved - out).norm() < 0.03 * out.norm()


def test_small_image_is_enlarged_and_joined():
    unet = tiny(in_channels=4)
    network = SuperRes(unet, image_channels=1)
    x, time, _ = inputs()
    assert network.in_channels == 3
    constant = torch.linspace(-1, 1, 3).reshape(3, 1, 1, 1)
    out = network(x, time, Condition(image=GivenImage(constant.expand(3, 1, 4, 4))))
    torch.testing.assert_close(out, unet(torch.cat([x, constant.expand(3, 1, 8, 8)], dim=1), time, Condition()))
    with pytest.raises(ValueError, match="needs the small image"):
        network(x, time, Condition())
    with pytest.raises(ValueError, match="takes 4 channels, 4 of which"):
        SuperRes(unet, image_channels=4)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"image_size": 10, "channel_mult": (1, 2, 2), "attention_resolutions": ()}, "halved 2 times.*multiple of 4"),
        ({"image_size": 0}, "cannot be halved"),
        ({"channel_mult": ()}, "at least one level"),
        ({"channel_mult": (1, 1.3)}, r"channel_mult=\[1, 1.3\].*whole"),
        ({"attention_resolutions": (16, 4)}, r"asks for \[16\].*\[8, 4\]"),
        ({"attention": partial(HeadsFirstAttention, heads=HeadCount(3))}, "3 attention heads do not divide the 16"),
        ({"attention": partial(HeadsFirstAttention, heads=HeadWidth(32))}, "heads of 32 channels do not divide the 16"),
        ({"attention": partial(HeadsFirstAttention, heads=HeadCount(0))}, "0 attention heads"),
        ({"dropout": 1.0}, "below 1, got 1.0"),
        ({"residual_scale": 0.0}, "must be positive"),
        ({"depth": 0}, "depth=0"),
        ({"out_channels": 0}, "out_channels"),
        ({"in_channels": 0}, "in_channels=0"),
        ({"embedders": {"label": partial(NullableLabelEmbedding, 0)}}, "at least one class.*embedder=\\[\\]"),
    ],
)
def test_what_does_not_fit_is_refused(changes, reason):
    with pytest.raises(ValueError, match=reason):
        tiny(**changes)


def test_an_image_that_the_levels_do_not_divide_is_refused():
    network = tiny()
    x, time, cond = inputs(size=7)
    with pytest.raises(ValueError, match=r"7 x 7 pixels.*multiples of 2"):
        network(x, time, cond)
    assert network(torch.randn(3, 3, 6, 10), time, cond).shape == (3, 3, 6, 10)
