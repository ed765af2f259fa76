"""The variational autoencoder's bound: below the exact log-likelihood where that is known, and equal to it for the exact posterior."""

import math

import pytest
import torch
from torch import nn

from difflab.networks import Network
from difflab.noise import ImageNoise
from difflab.rivals import VAE
from difflab.types import Condition

MATRIX = torch.tensor(
    [[0.02, 0.01, 0.0, 0.0], [0.0, 0.03, 0.0, 0.01], [0.01, 0.0, 0.02, 0.0], [0.0, 0.0, 0.01, 0.03]],
    dtype=torch.float64,
)
SCALE = 0.05


class Linear(Network):
    """x -> A x + b of the four pixels of an image, and numbers that are the same for every image behind them."""

    def __init__(self, matrix, rest=()):
        super().__init__()
        self.image_size, self.in_channels, self.out_channels = 2, 1, len(matrix) + len(rest)
        self.matrix, self.rest = nn.Parameter(matrix.clone()), torch.tensor(rest, dtype=torch.float64)

    def forward(self, x, time, cond):
        y = x.flatten(1) @ self.matrix.T
        if not len(self.rest):
            return y.unflatten(1, (1, 2, 2))
        return torch.cat([y, self.rest.expand(len(x), -1)], dim=1)


def linear_model(shift: float = 0.0) -> VAE:
    """x = W z + s n: with the exact posterior, but for its variances, which are diagonal and `shift` off in their logarithms."""
    precision = torch.eye(4, dtype=torch.float64) + MATRIX.T @ MATRIX / SCALE**2
    of_mean = torch.linalg.solve(precision, MATRIX.T) / SCALE**2
    log_var = (-precision.diagonal().log() + shift).tolist()  # the best diagonal ones, of the reversed divergence
    model = VAE(Linear(MATRIX), Linear(of_mean, log_var)).double()
    model.log_scale.data.fill_(math.log(SCALE))
    return model


def bound(model: VAE, x, draws: int = 4000) -> float:
    with torch.no_grad():
        images = x.expand(draws, 1, 2, 2)
        return float(model.bits(images, Condition(), ImageNoise(0, torch.arange(draws))).mean())


def test_the_bound_lies_below_the_exact_likelihood_by_the_divergence():
    x = (
        torch.tensor([[[[3, -5], [9, 1]]]], dtype=torch.float64) / 127.5 + 1 / 255
    )  # grey levels: odd multiples of 1 / 255
    cov = MATRIX @ MATRIX.T + SCALE**2 * torch.eye(4, dtype=torch.float64)
    density = torch.distributions.MultivariateNormal(torch.zeros(4, dtype=torch.float64), cov)
    # the levels are narrow beside the scale, so that a probability is the density times their width
    exact = float(-(density.log_prob(x.flatten()) + 4 * math.log(2 / 255)) / 4 / math.log(2))
    precision = torch.eye(4, dtype=torch.float64) + MATRIX.T @ MATRIX / SCALE**2
    for shift in (0.0, 1.0):
        var = precision.diagonal().reciprocal() * math.exp(shift)
        kl = 0.5 * ((precision.diagonal() * var).sum() - 4 - var.log().sum() - precision.logdet())
        gap = float(kl) / 4 / math.log(2)
        assert gap > (0.001 if shift == 0 else 0.1)
        found = bound(linear_model(shift), x)
        assert found == pytest.approx(exact + gap, abs=0.02)
    assert bound(linear_model(1.0), x) > exact


def test_an_encoder_of_another_size_is_refused():
    with pytest.raises(ValueError, match="out_channels=8"):
        VAE(Linear(MATRIX), Linear(MATRIX))
