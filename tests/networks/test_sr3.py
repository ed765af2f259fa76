"""The network of the open implementation of SR3 against numbers that its own code computed (Janspiry's Palette, module sr3)."""

import gzip
import json

import numpy as np
import pytest
import torch
from edm import GOLDEN
from feeds import FixedTimes, SuppliedNoise
from recipes import param_recipe, rs_images, rs_randn

from difflab.denoiser import Denoiser
from difflab.networks import SR3UNet, SuperRes
from difflab.networks.layers import BicubicEnlargement
from difflab.noise_conditioning import AlphaBar
from difflab.objectives import Simple
from difflab.objectives.weightings import Unweighted
from difflab.parameterizations import Epsilon
from difflab.schedules import BetweenSteps, Tabulated
from difflab.types import Condition, GivenImage
from difflab.variances import FixedSmall

PEER = np.load(GOLDEN / "families.npz")
KEYS = json.loads(gzip.decompress((GOLDEN / "palette_sr3_keys.json.gz").read_bytes()))


def network():
    """Of the case sr3_b, with its weights: they lie in the peer's order; its sinusoids are sines, then cosines."""
    unet = SR3UNet(16, 6, 3, {}, width=16, channel_mult=(1, 2, 2), depth=2, attention_resolutions=(4,), norm_groups=4)
    ours, weights = unet.state_dict(), {}
    for (name, value), (theirs, shape) in zip(ours.items(), KEYS, strict=True):
        weights[name] = torch.from_numpy(param_recipe(f"denoise_fn.{theirs}", shape)).float().view_as(value)
    sines, cosines = weights["noise_level.hidden.weight"].chunk(2, dim=1)
    weights["noise_level.hidden.weight"] = torch.cat([cosines, sines], dim=1)
    unet.load_state_dict(weights)
    return unet


def test_output_is_the_peers():
    out = network()(torch.from_numpy(rs_randn(11460, 2, 6, 16, 16)), torch.tensor([0.2, 0.97]), Condition())
    expected = torch.from_numpy(PEER["palette_net/sr3_b/out"])
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


def test_loss_is_the_peers():
    """Of the whole: levels between two steps, the network told alpha_bar, and the image that it is given, which comes first there."""
    draws = [np.random.RandomState(11464 + k) for k in range(3)]
    step, fraction = draws[0].randint(1, 200, size=2), draws[1].rand(2, 1)[:, 0]
    eps = draws[2].randn(2, 3, 16, 16).astype(np.float32)
    unet = network()
    with torch.no_grad():
        unet.trunk.conv_in.weight.copy_(torch.cat(unet.trunk.conv_in.weight.chunk(2, dim=1)[::-1], dim=1))
    schedule = BetweenSteps(Tabulated(np.linspace(1e-6, 0.01, 200)))
    superres = SuperRes(unet, 3, BicubicEnlargement())
    denoiser = Denoiser(superres, schedule, Epsilon(), FixedSmall(), AlphaBar(scale=1.0))
    cond = Condition(image=GivenImage(torch.from_numpy(rs_randn(11462, 2, 3, 16, 16)), torch.zeros(2).double()))
    objective = Simple(FixedTimes(torch.from_numpy((step + fraction) / 200)), Unweighted())
    losses = objective(denoiser, torch.from_numpy(rs_images(11461, 2, 3, 16, 16)), cond, SuppliedNoise({"eps": eps}))
    assert losses.total.mean().item() == pytest.approx(PEER["palette_net/sr3_b/loss"].item(), rel=1e-5)


def test_groups_that_do_not_divide_the_channels():
    with pytest.raises(ValueError, match="3 groups of a norm do not divide the 16 channels"):
        SR3UNet(16, 6, 3, {}, width=16, norm_groups=3)
