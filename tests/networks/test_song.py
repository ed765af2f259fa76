"""The network SongUNet, its filters, features and initial weights; its outputs are compared in tests/parity."""

from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from difflab.networks import SongUNet, initialise
from difflab.networks.layers import (
    FIRConvResample,
    FIRResample,
    FourierFeatures,
    NoProgressiveInput,
    NoProgressiveOutput,
    SinusoidFeatures,
    SkipOutput,
)
from difflab.networks.layers.fir import FIRConvDown, FIRConvUp, FIRDouble, FIRHalve
from difflab.networks.layers.trunk import LaidOut
from difflab.types import Condition

CONF = Path(__file__).parents[2] / "conf"
ROOT = f"""
hydra: {{searchpath: ["file://{CONF}"]}}
defaults: [_self_, network: song, embedder: [label]]
data: {{image_size: 8, channels: 1, num_classes: 10}}
embedder: {{}}
"""
SMALL = ["out_channels=2", "width=8", "channel_mult=[1,2,2]", "depth=1", "attention_resolutions=[4]"]
GROUPS = ("noise_features", "resample", "progressive_input", "progressive_output")
PARTS = [(group, path.stem) for group in GROUPS for path in (CONF / "network" / group).glob("*.yaml")]


def small(**changes):
    parts = {
        "embedders": {},
        "noise_features": SinusoidFeatures,
        "resample": FIRResample(),
        "progressive_input": NoProgressiveInput,
        "progressive_output": NoProgressiveOutput,
        "width": 8,
        "channel_mult": (1, 2),
        "depth": 1,
        "attention_resolutions": (4,),
    }
    return SongUNet(8, 1, 1, **(parts | changes))


def randomised(network):
    """All weights well away from zero, also those that begin near it."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / max(1, parameter[0].numel()) ** 0.5)
    return network


@pytest.mark.parametrize(("group", "name"), PARTS)
def test_each_choice_makes_a_network_that_learns(tmp_path, group, name):
    """Gradients reach every weight, on images of another size than those of training."""
    (tmp_path / "root.yaml").write_text(ROOT, encoding="utf-8")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        overrides = [f"network/{group}={name}", *(f"network.{setting}" for setting in SMALL)]
        network = randomised(instantiate(compose("root", overrides=overrides).network))
    x = torch.randn(2, 1, 16, 8, generator=torch.Generator().manual_seed(2))
    out = network(x, torch.tensor([0.1, 2.0], dtype=torch.float64), Condition())
    assert out.shape == (2, 2, 16, 8)
    out.square().sum().backward()
    still = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still
    assert network.attention_places == {-1, 0, 1}


def filtered(image, taps):
    """The image convolved with taps in both directions, zeros around it, at the half places between pixels."""
    n = len(taps)
    kernel = torch.tensor(taps, dtype=torch.float64) / sum(taps)
    padded = F.pad(image, (n - 1,) * 4)
    return padded.unfold(2, n, 1).unfold(3, n, 1).mul(torch.outer(kernel, kernel)).sum((-1, -2))


@pytest.mark.parametrize("taps", [(1, 1), (1, 3, 3, 1), (1, 2, 5, 5, 2, 1)])
def test_filters_are_those_of_the_formula(taps):
    image = torch.randn(2, 3, 8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    whole, half = filtered(image, taps), len(taps) // 2
    torch.testing.assert_close(
        FIRHalve(taps)(image), whole[:, :, half : half + 8 : 2, half : half + 6 : 2], check_dtype=False
    )
    apart = torch.zeros(2, 3, 16, 12, dtype=torch.float64)
    apart[:, :, ::2, ::2] = image
    doubled = 4 * filtered(apart, taps)[:, :, half - 1 : half + 15, half - 1 : half + 11]
    torch.testing.assert_close(FIRDouble(taps)(image), doubled)


def test_two_taps_average_and_repeat():
    image = torch.randn(1, 2, 4, 4)
    torch.testing.assert_close(FIRHalve((1, 1))(image), F.avg_pool2d(image, 2))
    torch.testing.assert_close(FIRDouble((1, 1))(image), F.interpolate(image, scale_factor=2, mode="nearest"))


@pytest.mark.parametrize("taps", [(1, 1), (1, 3, 3, 1)])
def test_fused_convolutions_are_a_filter_and_a_convolution(taps):
    """Inside the image, where nobody sees in which order zeros were put around it."""
    image, inside = torch.randn(1, 2, 12, 12), (slice(None), slice(None), slice(3, -3), slice(3, -3))
    up, down = FIRConvUp(2, 3, taps), FIRConvDown(2, 3, taps)
    once = F.conv2d(FIRDouble(taps)(image), up.conv.weight, padding=1)
    torch.testing.assert_close(up(image)[inside], once[inside], rtol=1e-4, atol=1e-5)
    assert up(image).shape == (1, 3, 24, 24)
    kernel = torch.tensor([float(tap) for tap in taps])
    kernel = (torch.outer(kernel, kernel) / kernel.sum() ** 2).expand(2, 1, -1, -1)
    blurred = F.conv2d(image, kernel, padding=len(taps) // 2, groups=2)
    expected = F.conv2d(blurred, down.conv.weight, stride=2)
    torch.testing.assert_close(down(image), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("taps", [(1, 3, 3), (1, 2), (1, -1), (2,)])
def test_filters_that_are_none(taps):
    with pytest.raises(ValueError, match="even number of taps"):
        FIRHalve(taps)


def test_fourier_features_have_their_scale_and_no_seed():
    features, again = FourierFeatures(4096, scale=16.0), FourierFeatures(4096, scale=16.0)
    assert torch.equal(features.frequencies, again.frequencies)
    assert features.frequencies.std().item() == pytest.approx(16, rel=0.05)
    told = features(torch.tensor([0.0, 0.5], dtype=torch.float64))
    assert told.shape == (2, 8192)
    assert torch.equal(told[0], torch.cat([torch.zeros(4096), torch.ones(4096)]))
    assert not list(features.parameters())


def test_sinusoids_end_at_the_longest_period():
    sines, cosines = SinusoidFeatures(8)(torch.tensor([100.0]))[0].chunk(2)
    angles = torch.tensor([100.0, 100 * 10000 ** (-1 / 3), 100 * 10000 ** (-2 / 3), 0.01])
    torch.testing.assert_close(sines, angles.sin(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(cosines, angles.cos(), rtol=1e-3, atol=1e-4)


def test_initial_weights():
    """Variance 2 / (fan_in + fan_out), a tenth of it for q, k and v each, last layers near zero; functions of seed and name."""
    network = small(width=64, channel_mult=(1, 1))
    initialise(network, 3)
    block, attention = network.middle[0], network.middle[1]
    fan = 64 * 9
    assert block.conv_in.weight.var().item() == pytest.approx(2 / (2 * fan), rel=0.05)
    assert attention.qkv.weight.var().item() == pytest.approx(0.1 / 64, rel=0.05)
    assert not block.conv_in.bias.any()
    for last in (block.conv_out, attention.out, network.progressive_output.to_image.conv):
        assert 0 < last.weight.abs().max() < 1e-5
    other = small(width=64, channel_mult=(1, 1), resample=FIRConvResample(), progressive_output=SkipOutput)
    initialise(other, 3)
    assert torch.equal(other.middle[0].conv_in.weight, block.conv_in.weight)


def test_compute_can_choose_its_memory_format():
    network = small()
    assert isinstance(network, LaidOut)
    network.memory_format = torch.contiguous_format
    outs = []
    network.conv_in.register_forward_hook(lambda layer, inputs, out: outs.append(inputs[0].stride()))
    network(torch.randn(1, 1, 8, 8).expand(2, 1, 8, 8), torch.tensor([0.1, 2.0]), Condition())
    assert outs == [(64, 64, 8, 1)]


def test_recomputation_changes_nothing():
    outs = []
    for recompute in (False, True):
        network = randomised(small(gradient_checkpointing=recompute))
        x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(4))
        network(x, torch.tensor([0.1, 2.0]), Condition()).sum().backward()
        outs.append(network.conv_in.weight.grad)
    torch.testing.assert_close(*outs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention_resolutions": (16,)}, "attention_resolutions asks for"),
        ({"dropout": 1.0}, "dropout is a probability"),
        ({"residual_scale": 0.0}, "residual_scale must be positive"),
        ({"smallest_group": 0}, "a group of a norm has at least one channel"),
        ({"depth": 0}, "depth=0 must be at least 1"),
        ({"width": 3, "noise_features": SinusoidFeatures}, "sinusoids of 3 features"),
        ({"noise_features": partial(FourierFeatures, scale=0.0)}, "scale=0.0 positive"),
    ],
)
def test_settings_that_make_no_network(changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes)


def test_images_that_cannot_be_halved():
    with pytest.raises(ValueError, match="cannot be halved 1 times"):
        small()(torch.randn(1, 1, 7, 8), torch.tensor([0.0]), Condition())
