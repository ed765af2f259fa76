"""The hinge losses and R1 of a discriminator that is linear, by hand, and whom each loss reaches."""

import pytest
import torch
from torch import nn

from difflab.networks import Network
from difflab.noise import ImageNoise
from difflab.rivals import GAN, Adversarial, Discriminator, ToImage
from difflab.types import Condition

SLOPE = torch.tensor([0.5, -1.0, 2.0, 0.25])


class LinearDiscriminator(Network):
    """D(x) = <w, x> + 0.3."""

    def __init__(self):
        super().__init__()
        self.image_size, self.in_channels, self.out_channels = 2, 1, 1
        self.weight = nn.Parameter(SLOPE.clone())

    def forward(self, x, time, cond):
        return (x.flatten(1) @ self.weight + 0.3)[:, None]


class Shifted(Network):
    """x_0 = atanh of a constant image, whatever the noise."""

    def __init__(self):
        super().__init__()
        self.image_size, self.in_channels, self.out_channels = 2, 1, 1
        self.image = nn.Parameter(torch.tensor([0.1, 0.2, 0.3, -0.4]).atanh())

    def forward(self, x, time, cond):
        return self.image.expand(len(x), -1).unflatten(1, (1, 2, 2))


REAL = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.0], [-1.0, 0.0, 1.0, 0.5]]).unflatten(1, (1, 2, 2))


def losses(objective: Adversarial, model: GAN):
    return objective(model, REAL, Condition(), ImageNoise(0, torch.arange(3)))


def test_losses_are_those_computed_by_hand():
    found = losses(Adversarial(gamma=0.5, every=1), GAN(Shifted(), LinearDiscriminator()))
    real = torch.tensor([0.8, -0.2, 1.925])  # <w, x> + 0.3
    fake = 0.05 - 0.2 + 0.6 - 0.1 + 0.3  # 0.65
    hinge = torch.tensor([0.2, 1.2, 0.0]) + 1 + fake
    assert torch.allclose(found.terms["real"], real)
    assert torch.allclose(found.terms["loss"], hinge)
    assert torch.allclose(found.terms["adversarial"], torch.full((3,), -fake))
    assert torch.allclose(found.terms["r1"], SLOPE.square().sum().expand(3))  # |w|^2, wherever x lies
    assert torch.allclose(found.total, hinge - fake + 0.25 * SLOPE.square().sum())


def test_r1_of_some_images_is_that_of_all_in_the_mean():
    model = GAN(Shifted(), LinearDiscriminator())
    number, x = torch.arange(8), torch.zeros(8, 1, 2, 2)
    some = Adversarial(every=4).penalty(model, x, Condition(), number)
    assert (some > 0).tolist() == [True, False, False, False] * 2
    assert torch.allclose(some.mean(), SLOPE.square().sum())


def test_each_loss_reaches_its_own_weights():
    model = GAN(Shifted(), LinearDiscriminator())
    found = losses(Adversarial(gamma=0.5, every=1), model)
    found.total.mean().backward()
    discriminator, generator = model.discriminator.weight.grad, model.network.image.grad
    fake = torch.tensor([0.1, 0.2, 0.3, -0.4])
    # of the hinge: -x of the two real ones below 1, + the fake; of R1 gamma / 2 * 2 w
    expected = -(REAL[0] + REAL[1]).flatten() / 3 + fake + 0.5 * SLOPE
    assert torch.allclose(discriminator, expected, atol=1e-6)
    # of G: -w through tanh
    assert torch.allclose(generator, -SLOPE * (1 - fake**2), atol=1e-6)
    assert all(weight.requires_grad for weight in model.parameters())


def test_a_discriminator_with_layers_has_the_penalty_of_its_own_slope():
    torch.manual_seed(0)
    model = GAN(ToImage(4, 1, {}, width=4), Discriminator(4, 1, {}, width=4)).double()
    x, number = torch.randn(3, 1, 4, 4, dtype=torch.float64), torch.arange(3)
    found = Adversarial(every=1).penalty(model, x, Condition(), number)
    step = 1e-5
    slopes = []
    for i in range(16):
        away = torch.zeros(16, dtype=torch.float64)
        away[i] = step
        away = away.reshape(1, 4, 4)
        with torch.no_grad():
            slopes.append((model.judged(x + away, Condition()) - model.judged(x - away, Condition())) / (2 * step))
    assert torch.allclose(found, torch.stack(slopes).square().sum(0), rtol=1e-4)


@pytest.mark.parametrize("wrong", [{"gamma": -1.0}, {"every": 0}])
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="gamma"):
        Adversarial(**wrong)
