"""An autoencoder that learns against a discriminator (arXiv 2012.09841): two optimizers, no noise and no schedule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch.nn.functional as F
from torch import Tensor, nn

from difflab.objectives import Objective
from difflab.types import Losses


class Autoencoder(nn.Module):
    """An autoencoder of images, and what tells them from real ones.

    Args:
        channels: Of the images.
        width: Hidden channels.
    """

    def __init__(self, channels: int, width: int = 8):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(channels, width, 4, 2, 1), nn.SiLU(), nn.Conv2d(width, 2, 1))
        self.decoder = nn.Sequential(nn.ConvTranspose2d(2, width, 4, 2, 1), nn.SiLU(), nn.Conv2d(width, channels, 1))
        self.discriminator = nn.Sequential(
            nn.Conv2d(channels, width, 4, 2, 1), nn.BatchNorm2d(width), nn.SiLU(), nn.Conv2d(width, 1, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


class Adversarial(Objective[Autoencoder]):
    """Of the autoencoder: (x - x')^2 - weight D(x'); of the discriminator: the hinge loss. Both in one pass, each for its own weights.

    Args:
        weight: Of the adversarial term.
    """

    def __init__(self, weight: float = 0.1):
        self.weight = weight

    def __call__(self, model, x_0, cond, noise):
        made = model(x_0)
        reconstruction = ((made - x_0) ** 2).flatten(1).mean(1)
        with fixed(model.discriminator):
            adversarial = -judged(model, made)
        real, fake = judged(model, x_0), judged(model, made.detach())
        hinge = F.relu(1 - real) + F.relu(1 + fake)
        total = reconstruction + self.weight * adversarial + hinge
        return Losses(total, None, {"loss": reconstruction, "adversarial": adversarial, "hinge": hinge})

    def check(self, model: Autoencoder) -> None:
        pass


def judged(model: Autoencoder, x: Tensor) -> Tensor:
    return model.discriminator(x).flatten(1).mean(1)


@contextmanager
def fixed(part: nn.Module) -> Iterator[None]:
    """Within the context gradients go through a part and not to its weights."""
    part.requires_grad_(False)
    try:
        yield
    finally:
        part.requires_grad_(True)
