"""What a row costs: against formulas, published counts and the walks themselves."""

import math

import pytest
import torch
from torch import nn

from difflab.ema import Constant, HalfLife, PowerFunction, WarmUp
from difflab.guidance import ClassifierFree, Clip
from difflab.networks import Network, UNet
from difflab.networks.layers import AdaptiveGroupNorm, BigGANResample, HeadCount, HeadsFirstAttention, SelfAttention
from difflab.samplers import DDIM, DDPM
from difflab.samplers.grids import QuadraticGrid, UniformGrid
from difflab.schedules import linear
from difflab.studies.planning.counting import count_calls, count_network, half_life_images
from difflab.studies.planning.plan import Facts
from difflab.types import Condition
from difflab.variances import LearnedRange


def by_hand(network: Network) -> tuple[int, int]:
    """(parameters, FLOPs of a forward pass) of one image, from the layers' shapes as they are met on the CPU.

    A convolution: 2 k^2 c_in per output number; a linear layer: 2 n_in; attention: q k^T and its product with v, 2 n^2 c each.
    """
    flops = 0

    def count(module, inputs, output):
        nonlocal flops
        if isinstance(module, nn.Conv2d):
            flops += 2 * module.kernel_size[0] * module.kernel_size[1] * module.in_channels * output.numel()
        elif isinstance(module, nn.Linear):
            flops += 2 * module.in_features * output.numel()
        elif isinstance(module, SelfAttention):
            _, channels, height, width = output.shape
            flops += 4 * (height * width) ** 2 * channels

    handles = [module.register_forward_hook(count) for module in network.modules()]
    size = network.image_size
    network(torch.zeros(1, network.in_channels, size, size), torch.zeros(1), Condition())
    for handle in handles:
        handle.remove()
    return sum(p.numel() for p in network.parameters()), flops


def unet(checkpointing: bool = False) -> UNet:
    return UNet(
        16,
        3,
        6,
        embedders={},
        norm=AdaptiveGroupNorm,
        resample=BigGANResample(),
        attention=lambda channels: HeadsFirstAttention(channels, HeadCount(2)),
        width=16,
        channel_mult=(1, 2),
        depth=1,
        attention_resolutions=(16, 8),
        gradient_checkpointing=checkpointing,
    )


def test_a_network_is_counted_layer_by_layer():
    with torch.device("meta"):
        count = count_network(unet(), classes=0)
    parameters, flops = by_hand(unet())
    assert (count.parameters, count.forward_flops) == (parameters, flops)
    # backwards, each product is made twice, but for the gradients of what enters the network: image and time
    entering = 2 * 9 * 3 * 16 * 16**2 + 2 * 16 * 64
    assert count.training_flops == 3 * flops - entering


def test_what_checkpointing_computes_again_is_counted():
    with torch.device("meta"):
        plain, again = count_network(unet(), classes=0), count_network(unet(checkpointing=True), classes=0)
    assert again.forward_flops == plain.forward_flops
    assert 1.25 < again.training_flops / plain.training_flops < 1.34


class Looking(Network):
    """Decides by the values of its input."""

    def __init__(self):
        super().__init__()
        self.in_channels = self.out_channels = 1
        self.image_size = 4
        self.layer = nn.Conv2d(1, 1, 1)

    def forward(self, x, time, cond):
        return self.layer(x) if time.max().item() > 0.5 else self.layer(-x)


def test_a_network_that_cannot_be_counted_says_so():
    with torch.device("meta"), pytest.raises(ValueError, match="Looking cannot be counted without being computed"):
        count_network(Looking(), classes=0)


@pytest.mark.parametrize(
    ("sampler", "guidances", "calls"),
    [
        (DDIM(UniformGrid(25)), [], 25),
        (DDPM(UniformGrid("ddim10"), LearnedRange()), [Clip()], 10),
        (DDPM(UniformGrid(50), LearnedRange()), [ClassifierFree(2.0), Clip()], 100),
        (DDIM(UniformGrid(5), eta=1.0), [ClassifierFree(2.0), ClassifierFree(3.0)], 20),
    ],
)
def test_a_walk_is_counted_in_images_that_the_network_sees(sampler, guidances, calls):
    assert count_calls(sampler, linear(100), guidances) == calls


def test_a_grid_that_takes_fewer_steps_than_asked_for_is_counted_as_it_is():
    grid = QuadraticGrid(50)
    assert count_calls(DDIM(grid), linear(100), []) == len(grid(linear(100))) - 1 < 50


def simulated_half_life(averaging, steps: int, batch: int) -> float:
    """How long before the last step a weight counts half as much as the last one, from the weights of all steps."""
    kept, weights = 1.0, []
    for step in range(steps, 0, -1):
        beta = averaging.beta(step)
        weights.append(kept * (1 - beta))
        kept *= beta
    before = next(i for i, weight in enumerate(weights) if weight <= weights[0] / 2)
    share = (weights[before - 1] - weights[0] / 2) / (weights[before - 1] - weights[before])
    return batch * (before - 1 + share)


@pytest.mark.parametrize(
    "averaging",
    [Constant(0.999), WarmUp(0.995), HalfLife(9000.0, 32), HalfLife(500.0, 32)],
    ids=lambda a: type(a).__name__,
)
def test_half_lives_are_those_of_the_weights(averaging):
    """Of the last steps, over which these decays hardly change."""
    assert half_life_images(averaging, 40_000, 32) == pytest.approx(
        simulated_half_life(averaging, 40_000, 32), rel=0.02
    )


def test_half_lives_in_closed_form():
    assert half_life_images(HalfLife(9000.0, 32), 40_000, 32) == pytest.approx(9000.0)
    assert half_life_images(HalfLife(1e9, 32), 40_001, 32) == pytest.approx(0.05 * 40_000 * 32), "the ramp is not over"
    assert half_life_images(Constant(0.0), 10, 32) == 0.0
    average = PowerFunction(0.1)
    assert half_life_images(average, 10**6, 32) == pytest.approx(
        32 * math.log(2) * 10**6 / (average.gamma + 1), rel=1e-5
    )


def test_hours_follow_from_a_rate_that_somebody_gives():
    facts = Facts(10, 300.0, 100.0, 20, 8, 1000, {})
    assert facts.hours(None) is None
    assert facts.hours(1000.0) == pytest.approx(8 * 1000 * 300 / 1000 / 3600)
    assert facts.hours(1000.0, drawn=50) == pytest.approx((8 * 1000 * 300 + 50 * 20 * 100) / 1000 / 3600)
    assert facts.hours(facts.rate(images_per_second=4.0)) == pytest.approx(8 * 1000 / 4 / 3600)
    with pytest.raises(ValueError, match="expected a rate above 0"):
        facts.hours(0.0)
