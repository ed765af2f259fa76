"""What the studies of claims compare, held to what it is said to be: no path around the middle, and the adjoint of a convolution."""

import torch
import torch.nn.functional as F
from torch import nn

from difflab.networks import UNet
from difflab.networks.layers import AdaptiveGroupNorm, ConvResample, HeadCount, HeadsFirstAttention, TransposedResample
from difflab.networks.network import BlockCondition
from difflab.types import Condition


def unet(skips: bool) -> UNet:
    torch.manual_seed(0)
    network = UNet(
        8,
        1,
        1,
        embedders={},
        norm=AdaptiveGroupNorm,
        resample=ConvResample(),
        attention=lambda channels: HeadsFirstAttention(channels, heads=HeadCount(4)),
        width=16,
        channel_mult=(1, 2),
        depth=1,
        attention_resolutions=(4,),
        skips=skips,
    )
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return network


def test_without_skips_the_output_follows_from_the_middle_alone():
    x, time = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([0.2, 0.7])
    for skips in (True, False):
        network = unet(skips)
        plain = network(x, time, Condition())
        whole = network.trunk.forward

        def spoilt(*given, whole=whole):
            *features, middle = whole(*given)
            return [*(feature + 10 for feature in features), middle]

        network.trunk.forward = spoilt
        assert torch.equal(network(x, time, Condition()), plain) is not skips


def test_the_transposed_convolution_is_the_adjoint_of_a_strided_one():
    """<up(a), b> = <a, down(b)> with down the convolution of stride 2 by the same kernel, the bias apart."""
    generator = torch.Generator().manual_seed(2)
    up = TransposedResample().up(3, lambda *_, **__: nn.Identity())
    a = torch.randn(2, 3, 4, 5, generator=generator)
    b = torch.randn(2, 3, 8, 10, generator=generator)
    nn.init.zeros_(up.conv.bias)
    doubled = up(a, BlockCondition(torch.zeros(1, 1)))
    halved = F.conv2d(b, up.conv.weight, stride=2, padding=1)
    assert torch.allclose((doubled * b).sum(), (a * halved).sum(), rtol=1e-4)
