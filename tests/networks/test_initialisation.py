"""Initial weights by name: what two rows of an ablation have in common begins alike."""

import itertools
from functools import partial

import pytest
import torch

from difflab.networks import UNet, initialise
from difflab.networks.layers import AdaptiveGroupNorm, AdditiveGroupNorm, ConvResample, HeadCount, HeadsFirstAttention
from difflab.networks.layers import NullableLabelEmbedding as Labels


def as_torch_draws(norm=AdaptiveGroupNorm, **changes) -> UNet:
    settings = {
        "embedders": {"label": partial(Labels, 4)},
        "norm": norm,
        "resample": ConvResample(),
        "attention": partial(HeadsFirstAttention, heads=HeadCount(2)),
        "width": 8,
        "channel_mult": (1, 2),
        "depth": 1,
        "attention_resolutions": (4,),
    }
    return UNet(8, 3, 3, **{**settings, **changes})


def drawn(seed=0, **changes) -> dict[str, torch.Tensor]:
    network = as_torch_draws(**changes)
    initialise(network, seed)
    return network.state_dict()


def is_random(weight: torch.Tensor) -> bool:
    return weight.numel() > 1 and bool(weight.std() > 0)


@pytest.mark.parametrize(
    "change", [{"norm": AdditiveGroupNorm}, {"depth": 2}, {"channel_mult": (1, 3)}, {"embedders": {}}]
)
def test_variants_begin_alike_wherever_name_and_shapes_match(change):
    mine, theirs = drawn(), drawn(**change)
    unlike = {n.rpartition(".")[0] for n in mine if n not in theirs or mine[n].shape != theirs[n].shape}
    common = [n for n in mine if n.rpartition(".")[0] not in unlike and is_random(mine[n])]
    assert len(common) >= 8
    assert [name for name in common if not torch.equal(mine[name], theirs[name])] == []


def test_torchs_generator_neither_matters_nor_moves():
    torch.manual_seed(1)
    network = as_torch_draws()
    before = torch.get_rng_state()
    initialise(network, 0)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert all(torch.equal(value, drawn()[name]) for name, value in network.state_dict().items())


def test_seeds_and_layers_are_independent():
    a, b = drawn(0), drawn(1)
    large = [name for name, value in a.items() if is_random(value) and value.numel() > 100]
    pairs = [(a[name], b[name]) for name in large]
    pairs += [(a[x], a[y]) for x, y in itertools.combinations(large, 2) if a[x].shape == a[y].shape]
    assert len(pairs) > len(large)
    for one, other in pairs:
        correlation = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]
        assert abs(correlation) < 5 / one.numel() ** 0.5


def test_each_weight_has_the_distribution_that_torch_gives_it_and_zeros_stay():
    torch.manual_seed(0)
    wide = {"width": 32, "channel_mult": (1, 2)}
    torchs, ours = as_torch_draws(**wide).state_dict(), drawn(**wide)
    for name, value in torchs.items():
        assert bool(value.any()) == bool(ours[name].any()), name
        if is_random(value) and value.numel() > 1000:
            assert ours[name].std() == pytest.approx(value.std().item(), rel=0.1), name
            assert ours[name].abs().max() == pytest.approx(value.abs().max().item(), rel=0.35), name
