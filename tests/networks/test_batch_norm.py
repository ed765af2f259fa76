"""Batch norm: torch's numbers, statistics that are saved with the weights, and no division of the batch that it would not see."""

import pytest
import torch
from torch import nn

from difflab.denoiser import Denoiser
from difflab.networks.layers import AdaptiveBatchNorm, BatchNorm
from difflab.parameterizations import Epsilon
from difflab.schedules import cosine
from difflab.training import DiffusionModule
from difflab.variances import FixedSmall
from running import differences
from tiny import TinyNetwork, fit, tiny_module


class Normalised(TinyNetwork):
    def __init__(self):
        super().__init__()
        self.norm = BatchNorm(1)

    def forward(self, x, time, cond):
        return self.norm(super().forward(x, time, cond))


def module() -> DiffusionModule:
    torch.manual_seed(0)
    return tiny_module(denoiser=Denoiser(Normalised(), cosine(20), Epsilon(), FixedSmall()))


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4, 4), (5, 3, 2, 3, 4)])
def test_it_is_torchs(shape):
    """Output, gradients and running statistics in training, and the output afterwards."""
    torch.manual_seed(0)
    mine, theirs = BatchNorm(3), {2: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[len(shape)](3)
    with torch.no_grad():
        for norm in (mine, theirs):
            norm.weight.copy_(torch.tensor([1.0, 2.0, 0.5]))
            norm.bias.copy_(torch.tensor([0.0, -1.0, 3.0]))
    gradients = []
    for _ in range(3):
        x = torch.randn(shape) * 3 + 1
        gradients = []
        for norm in (mine, theirs):
            h = x.clone().requires_grad_()
            (norm(h) ** 3).sum().backward()
            gradients.append(h.grad)
        torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(mine.running_mean, theirs.running_mean)
    torch.testing.assert_close(mine.running_var, theirs.running_var)
    torch.testing.assert_close(mine.weight.grad, theirs.weight.grad, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(mine.eval()(x), theirs.eval()(x), rtol=1e-5, atol=1e-5)


def test_the_embedding_moves_it():
    norm, h, emb = AdaptiveBatchNorm(3, 2), torch.randn(4, 3, 2, 2), torch.zeros(4, 2)
    with torch.no_grad():
        norm.linear.bias.copy_(torch.tensor([1.0, 1.0, 1.0, 5.0, 5.0, 5.0]))
    out = norm(h, emb)
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.full((3,), 5.0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(out.var((0, 2, 3), unbiased=False), torch.full((3,), 4.0), rtol=1e-3, atol=1e-3)


def test_its_statistics_are_saved_averaged_and_used(tmp_path):
    whole, rest = module(), module()
    fit(whole, steps=6)
    fit(module(), steps=3).save_checkpoint(tmp_path / "three.ckpt")
    fit(rest, steps=6, checkpoint=tmp_path / "three.ckpt")
    assert not differences(whole.state_dict(), rest.state_dict())
    assert not differences(whole.ema.tracks.shadows, rest.ema.tracks.shadows)
    norm = whole.denoiser.network.norm
    assert isinstance(norm, BatchNorm)
    assert not torch.equal(norm.running_mean, torch.zeros(1))
    own = norm.running_mean.clone()
    with whole.ema.applied_to(whole.denoiser, "fast"):
        assert torch.equal(norm.running_mean, whole.ema.tracks.shadows["fast"]["network.norm.running_mean"])
        assert not torch.equal(norm.running_mean, own)


def test_micro_batches_are_refused():
    with pytest.raises(
        ValueError, match="BatchNorm normalises over the images of a batch, and would see 2 parts of it"
    ):
        fit(module(), steps=1, accumulate=2)
    module().check_division(1, 8)
