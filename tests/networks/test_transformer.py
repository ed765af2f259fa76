"""DiT: what its designs are told, images of any size, attention in other hands, and what is refused."""

from functools import partial

import pytest
import torch
from torch import nn

from difflab.attention import AttentionMaps, IdentityAttention
from difflab.networks import DiT, SuperRes, initialise
from difflab.networks.layers import AdaLN, AdaLNZero, CrossAttended, InContext, NullableLabelEmbedding
from difflab.types import Condition, Embedding, GivenImage, Label
from one_pass import each

DESIGNS = (AdaLNZero(), AdaLN(), CrossAttended(), InContext())
BY_TOKENS = DESIGNS[2:]
TIME = torch.tensor([10.0, 400.0, 900.0], dtype=torch.float64)
COND = Condition(label=Label(torch.tensor([0, 1, -1])))
X = torch.randn(3, 1, 8, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Words(nn.Module):
    """Three tokens, the last of which is there for the first example alone."""

    def __init__(self, dim, wide=0):
        super().__init__()
        self.words = nn.Parameter(torch.randn(3, dim + wide, generator=torch.Generator().manual_seed(3)))

    def forward(self, cond):
        mask = torch.ones(3, 3, dtype=torch.bool)
        mask[1:, 2] = False
        return Embedding(tokens=self.words.expand(3, -1, -1), mask=mask)


def network(design, checkpointing=False, embedders=None, **values):
    torch.manual_seed(0)
    made = DiT(
        (8, 12),
        **{"in_channels": 1, "out_channels": 2} | values,
        embedders=embedders or {"label": partial(NullableLabelEmbedding, 2)},
        block=design,
        width=16,
        depth=3,
        heads=2,
        gradient_checkpointing=checkpointing,
    ).double()
    for p in made.parameters():  # gates and the last layer begin at zero
        nn.init.normal_(p, std=0.3) if p.ndim > 1 else None
    return made


@each("design", DESIGNS)
def test_time_class_and_place_are_seen_and_each_image_for_itself(design):
    made = network(design)
    out = made(X, TIME, COND)
    assert out.shape == (3, 2, 8, 12)
    torch.testing.assert_close(made(X[1:2], TIME[1:2], COND.select(slice(1, 2))), out[1:2])
    other_time = made(X, TIME.flip(0), COND)
    other_class = made(X, TIME, Condition(label=Label(torch.tensor([1, 1, 0]))))
    moved = made(X.roll(2, dims=3), TIME, COND).roll(-2, dims=3)
    assert ((other_time - out).flatten(1).abs().amax(1) > 1e-4).tolist() == [True, False, True]
    assert ((other_class - out).flatten(1).abs().amax(1) > 1e-4).tolist() == [True, False, True]
    assert ((moved - out).flatten(1).abs().amax(1) > 1e-4).all()
    unlabelled = made(X, TIME, Condition())
    torch.testing.assert_close(unlabelled[2], out[2])


@each("design", DESIGNS)
def test_recomputed_blocks_have_the_same_gradients(design):
    gradients = []
    for checkpointing in (False, True):
        made = network(design, checkpointing)
        made(X, TIME, COND).square().mean().backward()
        gradients.append([p.grad for p in made.parameters()])
    assert all(g is not None and g.any() for g in gradients[0])
    torch.testing.assert_close(*gradients)


@each("design", DESIGNS)
def test_images_of_other_sizes_have_their_own_positions(design):
    made, half = network(design), X[..., :6]
    assert made(half, TIME, COND).shape == (3, 2, 8, 6)
    assert made(X.repeat(1, 1, 2, 1), TIME, COND).shape == (3, 2, 16, 12)
    with pytest.raises(ValueError, match=r"8 x 7 pixels cannot be cut into patches of 2 x 2"):
        made(X[..., :7], TIME, COND)


@each("design", DESIGNS)
def test_attention_can_be_watched_and_replaced(design):
    made = network(design)
    assert made.attention_places == {-1, 0, 1}
    maps = AttentionMaps()
    watched = made(X, TIME, COND.controlled(maps))
    torch.testing.assert_close(watched, made(X, TIME, COND), rtol=1e-4, atol=1e-5)  # maps are made in float32
    assert maps.maps.keys() == made.attention_places
    extra = 2 * isinstance(design, InContext)
    assert all(one[0].shape == (3, 24 + extra, 24 + extra) for one in maps.maps.values())
    assert maps.of_keys(0).shape[:2] == (3, 24 + extra)
    assert not torch.allclose(made(X, TIME, COND.controlled(IdentityAttention([0]))), watched)


@each("design", BY_TOKENS)
def test_tokens_of_the_condition_are_read_where_they_are_there(design):
    embedders = {"label": partial(NullableLabelEmbedding, 2), "words": Words}
    made = network(design, embedders=embedders)
    before = made(X, TIME, COND)
    with torch.no_grad():
        made.get_parameter("embedders.words.words")[2] *= -1
    assert ((made(X, TIME, COND) - before).flatten(1).abs().amax(1) > 1e-6).tolist() == [True, False, False]
    with pytest.raises(ValueError, match="have 20 numbers, and those of the transformer 16"):
        network(design, embedders={"words": partial(Words, wide=4)})(X, TIME, COND)


def test_tokens_for_norms_are_refused():
    with pytest.raises(ValueError, match=r"AdaLN reads vectors.*cross_attention"):
        network(AdaLN(), embedders={"words": Words})(X, TIME, COND)


def test_a_small_image_is_read_as_further_channels():
    made = SuperRes(network(AdaLNZero(), in_channels=2, out_channels=1), image_channels=1)
    cond = Condition(image=GivenImage(torch.zeros(3, 1, 4, 4, dtype=torch.float64)))
    assert made(X[..., :8], TIME, cond).shape == (3, 1, 8, 8)


def test_a_seed_draws_the_papers_distribution_again():
    """`initialise` has layers draw their own weights: they must not become torch's."""
    made = DiT(8, 1, 2, embedders={}, width=128, depth=1, heads=2)
    initialise(made, 5)
    assert not made.blocks[0].get_parameter("0.attention.qkv.bias").any()
    assert made.time_embedding.hidden.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not made.leave.weight.any()
    again = DiT(8, 1, 2, embedders={}, width=128, depth=2, heads=2)
    initialise(again, 5)
    torch.testing.assert_close(again.blocks[0].state_dict(), made.blocks[0].state_dict())


@each(
    ("values", "said"),
    [
        ({"patch": 3}, r"8 x 8 pixels cannot be cut into patches of 3 x 3: network.patch"),
        ({"patch": 16}, "cannot be cut into patches of 16"),
        ({"width": 30}, r"network.width=30 with network.heads=2"),
        ({"heads": 3}, "network.width=32 with network.heads=3"),
        ({"depth": 0}, "depth=0"),
        ({"mlp_ratio": 0.0}, "mlp_ratio=0.0"),
        ({"image_size": []}, "has 0 axes"),
    ],
)
def test_what_is_no_transformer_of_patches_is_refused(values, said):
    given = {"image_size": 8, "in_channels": 1, "out_channels": 2, "width": 32, "heads": 2, "depth": 1} | values
    with pytest.raises(ValueError, match=said):
        DiT(**given, embedders={})
