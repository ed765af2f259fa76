"""A generative adversarial network (Goodfellow et al. 2014, arXiv 1406.2661): hinge losses, a projection discriminator, and R1."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks import Network
from difflab.noise import Noise
from difflab.objectives import Objective
from difflab.rivals.generator import EMBEDDING, Embedders, Generator, embedding, halved
from difflab.types import Condition, ImageSize, Losses, Prediction


class Residual(nn.Module):
    """(x + branch(x)) / sqrt(2), the branch two convolutions. There is no norm, as in the networks for which R1 was proposed.

    Args:
        in_channels: Channels of the image.
        out_channels: Channels of the result.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.conv_out = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.conv_out(F.leaky_relu(self.conv_in(F.leaky_relu(x, 0.2)), 0.2))
        return (self.skip(x) + branch) / math.sqrt(2)


class Discriminator(Network):
    """D(x, y) = linear(h(x)) + <e(y), h(x)>: how real an image is, and how much of its class (Miyato and Koyama 2018, arXiv 1802.05637).

    Args:
        image_size: Side of square images, or [H, W].
        in_channels: Channels of the image.
        embedders: Of the condition: e is their sum.
        width: Channels at the whole size; twice as many at half of it.
        depth: Residual blocks of each size.
    """

    def __init__(self, image_size: ImageSize, in_channels: int, embedders: Embedders, width: int, depth: int = 1):
        super().__init__()
        self.image_size, self.in_channels, self.out_channels = image_size, in_channels, 1
        height, breadth = halved(image_size)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1),
            *(Residual(width, width) for _ in range(depth)),
            nn.AvgPool2d(2),
            *(Residual(width if i == 0 else 2 * width, 2 * width) for i in range(depth)),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(2 * width * height * breadth, EMBEDDING),
            nn.LeakyReLU(0.2),
        )
        self.linear = nn.Linear(EMBEDDING, 1)
        self.embedders = embedding(embedders)

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        h = self.features(x)
        classes = [cond.embedded(embedder).vector for embedder in self.embedders.values()]
        projected = [(one.to(h) * h).sum(1, keepdim=True) for one in classes if one is not None]
        return self.linear(h) + sum(projected)


class GAN(Generator):
    """x_0 = tanh(G(x_T)), which learns against a discriminator.

    Args:
        network: G.
        discriminator: (x, time, cond) -> [B, 1], the larger the more real.
    """

    def __init__(self, network: Network, discriminator: Network):
        super().__init__(network)
        self.discriminator = discriminator

    def forward(self, x_t: Tensor, t: Tensor, cond: Condition) -> Prediction:
        return Prediction(self.made(x_t, cond).tanh())

    def judged(self, x: Float[Tensor, "b c h w"], cond: Condition) -> Float[Tensor, " b"]:
        """What the discriminator says of images."""
        return self.discriminator(x, x.new_zeros(len(x)), cond).flatten()


class Adversarial(Objective[GAN]):
    """Of G: -D(G(z)); of D: max(0, 1 - D(x)) + max(0, 1 + D(G(z))), the hinge loss (Lim and Ye 2017, arXiv 1705.02894), and R1.

    R1 = gamma / 2 |grad_x D(x)|^2 of real images (Mescheder et al. 2018, arXiv 1801.04406, eq. 9). As it is dear, it is taken of one image
    in `every`, so many times as heavy: its mean stays (StyleGAN2's lazy regularisation, by images and not by steps). All is one backward
    pass, in which each loss reaches its own weights; the optimizers are those of `difflab.training.Optimizers`.

    Args:
        gamma: Weight of R1; 0 for none.
        every: It is taken of each so many-th image.
    """

    def __init__(self, gamma: float = 1.0, every: int = 4):
        if gamma < 0 or every < 1:
            raise ValueError(f"gamma={gamma} must not be negative, and every={every} at least 1")
        self.gamma, self.every = gamma, every

    def __call__(self, model: GAN, x_0: Tensor, cond: Condition, noise: Noise) -> Losses:
        z = noise.normal("z", tuple(x_0.shape[1:])).to(x_0)
        made = model(z, torch.ones_like(noise.number, dtype=torch.float64), cond).x0
        with fixed(model.discriminator):
            adversarial = -model.judged(made, cond)
        real, fake = model.judged(x_0, cond), model.judged(made.detach(), cond)
        hinge = F.relu(1 - real) + F.relu(1 + fake)
        r1 = self.penalty(model, x_0, cond, noise.number)
        total = adversarial + hinge + self.gamma / 2 * r1
        terms = {"loss": hinge, "adversarial": adversarial, "r1": r1, "real": real, "fake": fake}
        return Losses(total, None, {name: term.detach() for name, term in terms.items()})

    def penalty(self, model: GAN, x_0: Tensor, cond: Condition, number: Tensor) -> Float[Tensor, " b"]:
        """|grad_x D(x)|^2 of the images whose turn it is, times `every`; 0 of the others."""
        found = x_0.new_zeros(len(x_0))
        chosen = (number % self.every == 0).nonzero().flatten().to(x_0.device)
        if not self.gamma or not len(chosen):
            return found
        x = x_0[chosen].detach().requires_grad_()
        (slope,) = torch.autograd.grad(model.judged(x, cond.select(chosen)).sum(), x, create_graph=True)
        return found.index_put((chosen,), self.every * slope.square().flatten(1).sum(1))

    def check(self, model: GAN) -> None:
        pass


@contextmanager
def fixed(part: nn.Module) -> Iterator[None]:
    """Within the context gradients go through a part and not to its weights."""
    learning = [weight for weight in part.parameters() if weight.requires_grad]
    for weight in learning:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learning:
            weight.requires_grad_(True)
