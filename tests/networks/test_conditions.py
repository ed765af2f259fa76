"""What blocks of a network are told of any condition: vectors, tokens, and how often it is embedded."""

from dataclasses import dataclass
from functools import partial

import pytest
import torch
from jaxtyping import Int
from torch import Tensor, nn

from difflab.attention import AttentionMaps
from difflab.denoiser import Denoiser
from difflab.guidance import ClassifierFree, PerturbedAttention
from difflab.networks import UNet
from difflab.networks.layers import (
    AdaptiveGroupNorm,
    ConvResample,
    CrossAttention,
    HeadCount,
    HeadsFirstAttention,
    TransposedResample,
)
from difflab.networks.network import BlockCondition
from difflab.parameterizations import Epsilon
from difflab.samplers import DDIM, Heun, draw
from difflab.samplers.grids import UniformGrid
from difflab.schedules import cosine
from difflab.types import Condition, DroppablePart, Embedding
from difflab.variances import FixedSmall

WORDS = 20


@dataclass(frozen=True)
class Text(DroppablePart):
    """Words by number; 0 is none."""

    words: Int[Tensor, "b n"]

    def null(self) -> "Text":
        return Text(torch.zeros_like(self.words))

    def instead(self, value: object) -> "Text":
        words = torch.tensor([int(word) for word in str(value).split()])
        return Text(words.expand(len(self.words), -1))


class TextEmbedding(nn.Module):
    """A vector of all words, and one for each; counts the texts that it reads."""

    def __init__(self, dim: int):
        super().__init__()
        self.table = nn.Embedding(WORDS, 8)
        self.pooled = nn.Linear(8, dim)
        self.read = 0

    def forward(self, cond: Condition) -> Embedding:
        words = Text.of(cond).words
        self.read += len(words)
        tokens = self.table(words)
        mask = words > 0
        mask[:, 0] = True  # an empty text is one empty word
        mean = (tokens * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        return Embedding(self.pooled(mean), tokens, mask)


def unet(**changes) -> UNet:
    torch.manual_seed(0)
    arguments = {
        "embedders": {"text": TextEmbedding},
        "norm": AdaptiveGroupNorm,
        "resample": ConvResample(),
        "attention": partial(HeadsFirstAttention, heads=HeadCount(2)),
        "cross_attention": partial(CrossAttention, heads=HeadCount(2), token_dim=8),
        "width": 16,
        "channel_mult": (1, 1),
        "depth": 1,
        "attention_resolutions": (4,),
    }
    network = UNet(8, 1, 1, **{**arguments, **changes})
    for p in network.parameters():  # the last layers of all branches start at zero
        nn.init.normal_(p, std=0.1) if p.ndim > 1 else None
    return network.double()


X, TIME = (
    torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1)).double(),
    torch.tensor([10.0, 400.0, 900.0]),
)
TEXT = Text(torch.tensor([[3, 4, 0], [5, 0, 0], [6, 7, 8]]))


def test_words_that_are_not_there_are_not_looked_at():
    network = unet()
    out = network(X, TIME, Condition(text=TEXT))
    cut = Text(TEXT.words[:, :2])
    vector = network.embedders["text"].pooled
    nn.init.zeros_(vector.weight)
    padded, shorter = (network(X[:2], TIME[:2], Condition(text=t).select(slice(2))) for t in (TEXT, cut))
    torch.testing.assert_close(padded, shorter)
    assert (out[:2] - padded).abs().max() > 1e-4
    assert (network(X, TIME, Condition(text=TEXT)) - network(X, TIME, Condition(text=TEXT).null())).abs().max() > 1e-4


def test_a_network_with_cross_attention_says_what_it_lacks():
    with pytest.raises(ValueError, match="no embedder of its condition gives tokens"):
        unet(embedders={})(X, TIME, Condition())


def test_attention_to_words_has_the_place_of_the_one_before_and_its_maps_are_seen():
    network, maps = unet(), AttentionMaps(is_cross=True)
    network(X, TIME, Condition(text=TEXT).controlled(maps))
    assert set(maps.maps) == network.attention_places == {-1, 0, 1, 2}
    (map_,) = maps.maps[0]
    assert map_.shape == (3, 16, 3)
    torch.testing.assert_close(map_.sum(2), torch.ones(3, 16))
    assert map_[1, :, 1:].abs().max() == 0


def denoiser(network: UNet) -> Denoiser:
    schedule = cosine(1000)
    return Denoiser(network, schedule, Epsilon(), FixedSmall()).eval()


@pytest.mark.parametrize("sampler", [DDIM(UniformGrid(25)), Heun(UniformGrid(13))])
@pytest.mark.parametrize(
    ("guidance", "read"),
    [
        ([], 3),
        ([ClassifierFree(3.0)], 6),
        ([ClassifierFree(3.0, {"text": "9 9"})], 6),
        ([ClassifierFree(3.0), PerturbedAttention(2.0, [0])], 6),
        ([ClassifierFree({"text": 3.0})], 6),
    ],
)
def test_a_condition_is_embedded_once_for_an_image_and_not_once_for_a_step(sampler, guidance, read):
    model = denoiser(unet())
    guided = model
    for one in guidance:
        guided = one(guided)
    embedder = model.network.embedders["text"]
    images = draw(guided, model.schedule, sampler, (1, 8, 8), torch.arange(3), Condition(text=TEXT), torch.float64)
    assert embedder.read == read
    with torch.no_grad():  # the same as with an embedder that is asked at every step
        fresh = denoiser(unet())
        every = fresh
        for one in guidance:
            every = one(every)

        def anew(x_t: Tensor, t: Tensor, cond: Condition, /):
            return every(x_t, t, Condition(text=TEXT))

        expected = draw(anew, fresh.schedule, sampler, (1, 8, 8), torch.arange(3), Condition(text=TEXT), torch.float64)
    torch.testing.assert_close(images, expected, rtol=1e-4, atol=1e-4)
    assert fresh.network.embedders["text"].read > 12 * read


def test_training_reaches_the_embedder():
    model = denoiser(unet()).train()
    model(X, torch.rand(3, dtype=torch.float64), Condition(text=TEXT)).x0.square().mean().backward()
    assert model.network.embedders["text"].table.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("checkpointing", [False, True])
def test_attention_can_be_nowhere_and_the_way_up_blind(checkpointing):
    network = unet(
        cross_attention=None,
        middle_attention=False,
        attention_resolutions=(),
        gradient_checkpointing=checkpointing,
    )
    assert network.attention_places == frozenset()
    assert not any("attention" in type(layer).__name__.lower() for layer in network.modules())
    x = X.clone().requires_grad_()
    blind = unet(skips=False, gradient_checkpointing=checkpointing)
    (whole,) = torch.autograd.grad(network(x, TIME, Condition(text=TEXT)).square().sum(), x)
    (through,) = torch.autograd.grad(blind(x, TIME, Condition(text=TEXT)).square().sum(), x)
    assert whole.abs().sum() > 0
    assert through.abs().sum() > 0
    assert sum(p.numel() for p in blind.parameters()) < sum(p.numel() for p in unet().parameters())
    seen = []
    blind.up[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    middle = []
    blind.trunk.middle.register_forward_hook(lambda module, inputs, output: middle.append(output))
    blind(X, TIME, Condition(text=TEXT))
    assert torch.equal(seen[0], middle[0])


def test_a_transposed_convolution_doubles_the_resolution():
    up = TransposedResample().up(4, lambda *_, **__: nn.Identity())
    assert isinstance(up.conv, nn.ConvTranspose2d)
    assert up(torch.zeros(1, 4, 5, 3), BlockCondition(torch.zeros(1, 1))).shape == (1, 4, 10, 6)
    assert unet(resample=TransposedResample())(X, TIME, Condition(text=TEXT)).shape == X.shape
