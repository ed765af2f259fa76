"""Low-rank updates of a model that stays."""

import pytest
import torch
from torch import nn

from difflab.adapters import LoRA
from difflab.networks.layers.attention import Pointwise

peft = pytest.importorskip("peft")


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 5)
        self.qkv = Pointwise(4, 6)
        self.conv = nn.Conv2d(6, 2, 3, padding=1)

    def forward(self, x, y):
        return self.conv(self.qkv(x)), self.linear(y)


def adapted(**options):
    torch.manual_seed(3)
    model = Layers()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    adapter = LoRA(r=2, lora_alpha=6, target_modules=["linear", "qkv", "conv"], **options)
    adapter.put_into(model, 7)
    return model, adapter, before


def drawn(model):
    torch.manual_seed(5)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".lora_" in name:
                weight.normal_()


X, Y = torch.randn(2, 4, 7, 5, generator=torch.Generator().manual_seed(0)), torch.ones(2, 3)


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}])
def test_merged_weights_compute_what_the_adapter_does(options):
    model, adapter, before = adapted(**options)
    plain = Layers()
    plain.load_state_dict(before)
    assert all(torch.equal(a, b) for a, b in zip(model(X, Y), plain(X, Y), strict=True)), "it begins as the model"
    drawn(model)
    plain.load_state_dict(adapter.merged(model.state_dict()))
    assert any(not torch.allclose(plain.state_dict()[name], value) for name, value in before.items())
    torch.testing.assert_close(model(X, Y), plain(X, Y), rtol=1e-5, atol=1e-5)
    assert adapter.merged(before).keys() == before.keys(), "weights without additions stay"
    # and as peft's own merging has them
    for layer in model.modules():
        if isinstance(layer, peft.tuners.lora.LoraLayer):
            layer.merge()
    for name in ("linear", "qkv", "conv"):
        torch.testing.assert_close(getattr(model, name).base_layer.weight, getattr(plain, name).weight)


def test_what_is_added_learns_and_nothing_else():
    model, _, _ = adapted()
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert learning == {name for name, _ in model.named_parameters() if ".lora_" in name}
    assert len(learning) == 6


def test_the_seed_draws_it():
    one, other = adapted()[0], adapted()[0]
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target_modules": ["qvk"]}, "adapter.target_modules: no layer's name ends with qvk; did you mean qkv"),
        ({"r": 0}, "r=0: an update has a rank of at least 1"),
        ({"lora_dropout": 1}, r"lora_dropout=1 must be a share in \[0, 1\)"),
    ],
)
def test_a_wrong_argument_is_said(options, said):
    with pytest.raises(ValueError, match=said):
        LoRA(**options).put_into(Layers(), 0)
