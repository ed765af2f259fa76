"""Attention maps in other hands: of the chosen layers and examples, and of nothing else."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from difflab.attention import AttentionControl, AttentionMaps, IdentityAttention
from difflab.networks import SuperRes, UNet
from difflab.networks.layers import (
    AdaptiveGroupNorm,
    BigGANResample,
    HeadCount,
    HeadsFirstAttention,
    LabelEmbedding,
    QKVFirstAttention,
    SelfAttention,
)
from difflab.types import Condition, GivenImage, Label


def network(attention=HeadsFirstAttention, checkpointing=False, in_channels=1):
    torch.manual_seed(0)
    unet = UNet(
        8,
        in_channels,
        1,
        embedders={"label": lambda dim: LabelEmbedding(3, dim)},
        norm=AdaptiveGroupNorm,
        resample=BigGANResample(),
        attention=lambda channels: attention(channels, HeadCount(2)),
        width=32,
        channel_mult=(1, 1),
        depth=1,
        attention_resolutions=(4,),
        gradient_checkpointing=checkpointing,
    )
    for p in unet.parameters():  # the last layers of all branches start at zero
        nn.init.normal_(p, std=0.2) if p.ndim > 1 else None
    return unet.double()


X = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
TIME = torch.tensor([10.0, 400.0, 900.0])
LABEL = torch.tensor([0, 1, 2])


def told(*places, examples=(0, 1, 2)):
    """The condition that asks for the identity at these places, for these examples."""
    plain, control = Condition(label=Label(LABEL)), IdentityAttention(places)
    each = (plain.select(slice(i, i + 1)) for i in range(3))
    return Condition.cat([one.controlled(control) if i in examples else one for i, one in enumerate(each)])


def replaced(monkeypatch, unet, places):
    """The output of a network in which the layers at `places` have their value alone, by another path.

    torch's attention is exchanged while one of them computes.
    """
    whole = F.scaled_dot_product_attention
    for layer in unet.modules():
        if isinstance(layer, SelfAttention) and layer.place in places:
            layer.register_forward_pre_hook(
                lambda *_: monkeypatch.setattr(F, "scaled_dot_product_attention", lambda q, k, v, **_: v)
            )
            layer.register_forward_hook(lambda *_: monkeypatch.setattr(F, "scaled_dot_product_attention", whole))
    return unet(X, TIME, Condition(label=Label(LABEL)))


@pytest.mark.parametrize("attention", [HeadsFirstAttention, QKVFirstAttention])
@pytest.mark.parametrize("places", [(0,), (-1,), (2,), (-1, 0, 1, 2)])
def test_the_map_of_the_chosen_layers_is_the_identity(monkeypatch, attention, places):
    unet = network(attention)
    assert unet.attention_places == {-1, 0, 1, 2}
    plain = unet(X, TIME, Condition(label=Label(LABEL)))
    found = unet(X, TIME, told(*places))
    assert (found - plain).abs().max() > 1e-3
    torch.testing.assert_close(found, replaced(monkeypatch, unet, places), rtol=0, atol=1e-12)


def test_layers_are_counted_from_the_middle_as_they_are_computed():
    unet, order = network(), []
    for layer in unet.modules():
        if isinstance(layer, SelfAttention):
            layer.register_forward_pre_hook(lambda module, _: order.append(module.place))
    unet(X, TIME, Condition(label=Label(LABEL)))
    assert order == [-1, 0, 1, 2]


def test_examples_are_perturbed_one_by_one_and_nothing_stays():
    unet = network()
    plain, perturbed = unet(X, TIME, Condition(label=Label(LABEL))), unet(X, TIME, told(0))
    mixed = unet(X, TIME, told(0, examples=(1,)))
    torch.testing.assert_close(mixed[1], perturbed[1], rtol=0, atol=1e-12)
    torch.testing.assert_close(mixed[[0, 2]], plain[[0, 2]], rtol=0, atol=1e-12)
    assert torch.equal(unet(X, TIME, Condition(label=Label(LABEL))), plain)
    torch.testing.assert_close(unet(X, TIME, told()), plain, rtol=0, atol=1e-12)


def test_the_small_image_does_not_hide_the_condition():
    unet = network(in_channels=2)
    superres, small = SuperRes(unet, 1), X[:, :, ::2, ::2]
    assert superres.attention_places == unet.attention_places
    outputs = [superres(X, TIME, cond.having(image=GivenImage(small))) for cond in (told(examples=()), told(0))]
    assert (outputs[0] - outputs[1]).abs().max() > 1e-3


def test_gradients_are_those_of_the_perturbed_network_with_checkpointing_too():
    """What is computed again in the backward pass must be perturbed as it was."""
    gradients = []
    for checkpointing in (False, True):
        x = X.clone().requires_grad_()
        unet = network(checkpointing=checkpointing)
        gradients.append(torch.autograd.grad(unet(x, TIME, told(-1, 0)).square().sum(), x)[0])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-12, atol=1e-12)


def test_maps_are_kept_as_the_network_computes_them_and_nothing_changes():
    unet, maps = network(), AttentionMaps(places=[-1, 0])
    plain = unet(X, TIME, Condition(label=Label(LABEL)))
    found = unet(X, TIME, Condition(label=Label(LABEL)).controlled(maps))
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-6)  # maps are computed in float32
    assert {place: [tuple(m.shape) for m in calls] for place, calls in maps.maps.items()} == {
        -1: [(3, 16, 16)],
        0: [(3, 16, 16)],
    }
    torch.testing.assert_close(maps.maps[0][0].sum(2), torch.ones(3, 16))
    assert maps.of_keys(0).shape == (3, 16, 4, 4)
    layer = unet.trunk.middle[1]
    seen = {}
    layer.register_forward_pre_hook(lambda module, inputs: seen.update(h=inputs[0]))
    unet(X, TIME, Condition(label=Label(LABEL)))
    q, k, _ = (
        part.transpose(1, 2) for part in layer.split(layer.qkv(layer.norm(seen["h"])).flatten(2).transpose(1, 2))
    )
    expected = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1).mean(1)
    torch.testing.assert_close(maps.maps[0][0].double(), expected, rtol=1e-5, atol=1e-6)


class Doubled(AttentionControl):
    """Every query looks twice: what it sees is added up."""

    def concerns(self, site):
        return True

    def __call__(self, site, probabilities):
        return 2 * probabilities


def test_controls_are_asked_in_their_order_and_those_of_the_null_condition_may_be_others():
    unet, plain = network(), Condition(label=Label(LABEL))
    both = plain.controlled(IdentityAttention([0])).controlled(Doubled())
    assert (
        unet(X, TIME, both) - unet(X, TIME, plain.controlled(Doubled()).controlled(IdentityAttention([0])))
    ).abs().max() > 1e-3
    maps = AttentionMaps()
    watched = plain.controlled(maps)
    together = Condition.cat([watched, watched.null()])
    assert together.controls.concern is not None
    unet_without_labels = network()
    unet_without_labels.embedders.clear()
    unet_without_labels(X.repeat(2, 1, 1, 1), TIME.repeat(2), together)
    assert {len(m) for calls in maps.maps.values() for m in calls} == {3}
